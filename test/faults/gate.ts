// A gate that a test holds: whoever comes to it waits until the test says go.

export class Gate {
  /** Resolves when somebody has come to the gate. */
  readonly reached: Promise<void>;
  readonly #opened: Promise<void>;
  #come: () => void = () => undefined;
  #open: () => void = () => undefined;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#come = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** Waits until the gate is open. */
  pass(): Promise<void> {
    this.#come();
    return this.#opened;
  }

  open(): void {
    this.#open();
  }
}
