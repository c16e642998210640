// A cluster on Google Cloud Storage, and what may happen to it.
import { clusterFaults } from './cluster-faults.js';

clusterFaults('gcs');
