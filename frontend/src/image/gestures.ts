import type { Point } from "../geometry/boxes";
import { tokenAt, tokensInBox, tokensUnderBrush } from "../geometry/hit";
import { tokensInLasso } from "../geometry/lasso";
import type { Picture } from "../session/picture";
import type { Tool } from "../state/state";

export type How = "toggle" | "replace" | "add" | "remove";

/** A pointer's way over the image, and the selection that it makes of an older one. */
export class Gesture {
  readonly points: Point[];
  private readonly touched = new Set<number>();
  private readonly removes: boolean;

  constructor(
    readonly tool: Tool,
    private readonly picture: Picture,
    private readonly order: readonly number[],
    private readonly before: ReadonlySet<number>,
    readonly radius: number,
    start: Point,
    how: How,
  ) {
    this.points = [start];
    const under = tokenAt(picture.boxes, order, start);
    // A brush that begins on a selected token takes away, as one that began outside adds.
    const strokes = tool === "brush" || tool === "click";
    const onSelected = under !== null && before.has(under);
    this.removes = how === "remove" || (how === "toggle" && strokes && onSelected);
    this.replaces = how === "replace";
    this.touch(start, start);
  }

  private readonly replaces: boolean;

  move(point: Point): void {
    const last = this.points.at(-1) as Point;
    this.points.push(point);
    this.touch(last, point);
  }

  private touch(from: Point, to: Point): void {
    if (this.tool === "brush") {
      const found = tokensUnderBrush(this.picture.boxes, this.order, from, to, this.radius);
      for (const token of found) this.touched.add(token);
    } else if (this.tool === "click") {
      const found = tokensUnderBrush(this.picture.boxes, this.order, from, to, 0);
      const top = found.at(-1);
      if (this.points.length > 1) for (const token of found) this.touched.add(token);
      else if (top !== undefined) this.touched.add(top);
    }
  }

  /** The tokens that the gesture covers. */
  covered(): Iterable<number> {
    const { boxes } = this.picture;
    if (this.tool === "box") {
      const [a, b] = [this.points[0] as Point, this.points.at(-1) as Point];
      return tokensInBox(boxes, this.order, a, b);
    }
    if (this.tool === "lasso") return tokensInLasso(boxes, this.order, this.points);
    return this.touched;
  }

  /** The one token that was clicked; null for anything longer or wider. */
  clicked(): number | null {
    const [token] = this.touched;
    return this.tool === "click" && this.touched.size === 1 && token !== undefined ? token : null;
  }

  selection(): Set<number> {
    const found = new Set(this.replaces ? [] : this.before);
    for (const token of this.covered()) {
      if (this.removes) found.delete(token);
      else found.add(token);
    }
    return found;
  }
}
