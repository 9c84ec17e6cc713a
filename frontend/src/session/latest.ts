/** Runs one job at a time; of those that come meanwhile, only the last is run after it. */
export class Latest {
  private running = false;
  private next: (() => Promise<void>) | null = null;

  run(job: () => Promise<void>): void {
    if (this.running) {
      this.next = job;
      return;
    }
    this.running = true;
    void job().finally(() => {
      this.running = false;
      const next = this.next;
      this.next = null;
      if (next) this.run(next);
    });
  }

  /** Drops the job that waits. */
  drop(): void {
    this.next = null;
  }
}
