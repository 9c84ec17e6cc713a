import type { Theme, Tool } from "./state/state";

/** What is not worth an address: the pointer's tool, what it is over, and switches. */
export class Ui {
  tool: Tool = "click";
  cursor: number | null = null;
  /** The object that the pointer or the focus is on. */
  object: number | null = null;
  objects = true;
  grid = true;
  words = true;
  theme: Theme = "auto";
}
