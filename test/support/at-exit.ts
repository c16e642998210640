// What a test file has to leave behind in order, even when somebody ends it by a signal: of that, Node
// would tell nobody.

const tasks: (() => void)[] = [];

/** Does something when the process exits, by itself or by a signal that asks for it; in the order of these calls. */
export function atExit(task: () => void): void {
  if (tasks.push(task) > 1) return;
  process.on('exit', () => {
    for (const each of tasks) each();
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
}
