// What a failure of S3 means in the words of the storage contract.
import type { S3ServiceException } from '@aws-sdk/client-s3';
import { DriverError, type DriverErrorReason } from 'koa-registry';

/**
 * Error codes that say what the contract asks for; every other failure, an absent bucket and a refused
 * credential among them, is an outage. `NotFound` stands for a 404 without a code and may mean the
 * bucket, so it is not here.
 */
const REASONS: Readonly<Record<string, DriverErrorReason>> = {
  NoSuchKey: 'not-found',
  InvalidRange: 'invalid-offset',
  KeyTooLongError: 'invalid-key',
  PreconditionFailed: 'offset-conflict',
  ConditionalRequestConflict: 'offset-conflict',
  QuotaExceeded: 'quota',
  XMinioStorageFull: 'quota',
};

/** The code of a failure that the store has answered, or the name of another error. */
export function codeOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

/** The HTTP status of a failure that the store has answered. */
export function statusOf(error: unknown): number | undefined {
  return (error as Partial<S3ServiceException>)?.$metadata?.httpStatusCode;
}

/** Whether the store refused the credentials, or refused them this. */
export function isRefused(error: unknown): boolean {
  const cause = error instanceof DriverError ? error.cause : error;
  return statusOf(cause) === 403;
}

export function driverError(error: unknown, name: string): DriverError {
  if (error instanceof DriverError) return error;
  return new DriverError(REASONS[codeOf(error)] ?? 'unavailable', name, { cause: error });
}

/** Why a bucket cannot be used, for whoever has to mend it. */
export function bucketError(error: unknown, bucket: string): Error {
  return new Error(explanation(error, JSON.stringify(bucket)), { cause: error });
}

function explanation(error: unknown, bucket: string): string {
  const { $response } = error as Partial<S3ServiceException>;
  const region = $response?.headers?.['x-amz-bucket-region'];
  const status = statusOf(error);
  if (status === 404) return `the bucket ${bucket} is not there; it has to be made first`;
  if (status === 401 || status === 403) return `the store refuses access to the bucket ${bucket} (${status})`;
  if (status !== undefined && region !== undefined) return `the bucket ${bucket} is in the region ${region}`;
  return `the bucket ${bucket} cannot be used: ${error instanceof Error ? error.message : String(error)}`;
}
