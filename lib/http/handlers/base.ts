// `GET /v2/`: yes, this is a registry, and you may speak to it.
import { answerJson } from '../answers.js';
import type { Handler } from '../routes.js';

export const getBase: Handler = ({ ctx }) => answerJson(ctx, {});
