/** A value that others watch; watchers run once a frame, however often it changed. */
export class Store<T extends object> {
  private watchers: ((value: T, before: T) => void)[] = [];
  private told: T;
  private waiting = false;

  constructor(
    private value: T,
    private readonly later: (run: () => void) => void = (run) => requestAnimationFrame(run),
  ) {
    this.told = value;
  }

  get(): T {
    return this.value;
  }

  set(change: Partial<T>): void {
    const keys = Object.keys(change) as (keyof T)[];
    if (keys.every((key) => Object.is(this.value[key], change[key]))) return;
    this.value = { ...this.value, ...change };
    this.touch();
  }

  /** Tells the watchers although nothing in the value changed: what it refers to did. */
  touch(): void {
    if (this.waiting) return;
    this.waiting = true;
    this.later(() => this.tell());
  }

  watch(watcher: (value: T, before: T) => void): void {
    this.watchers.push(watcher);
  }

  private tell(): void {
    this.waiting = false;
    const before = this.told;
    this.told = this.value;
    for (const watcher of this.watchers) watcher(this.value, before);
  }
}
