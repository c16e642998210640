// A cluster on S3, and what may happen to it.
import { clusterFaults } from './cluster-faults.js';

clusterFaults('s3');
