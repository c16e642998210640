// What a plugin for an object store needs: the contract of a bucket, and the driver made of one.
export type {
  Bucket,
  BucketListOptions,
  BucketObject,
  BucketPage,
  BucketReadOptions,
  BucketWriteOptions,
  PiecewiseWrite,
} from './bucket.js';
export { type ObjectStorageOptions, objectStorage } from './object-storage.js';
