import { floats } from "../arrays";
import type { Frame, SampleDocument, SceneObject } from "../documents";
import { type Boxes, areaOf, boxOf, drawOrder } from "../geometry/boxes";
import type { Point } from "../geometry/boxes";
import { outlineOf } from "../geometry/outline";
import { maskOf } from "../geometry/rle";
import { tokensOfMask } from "../geometry/select";
import { safeSrc } from "../sources/source";

export interface Shape {
  object: SceneObject;
  tokens: ReadonlySet<number>;
  mask: Uint8Array;
  size: readonly [number, number];
  /** In pixels of the mask. */
  outline: [Point, Point][];
}

/** A sample's image, boxes and objects, unpacked once. */
export class Picture {
  readonly boxes: Boxes;
  readonly n: number;
  readonly src: string | null;
  readonly width: number;
  readonly height: number;
  readonly frames: readonly Frame[];
  readonly shapes: readonly Shape[];
  private readonly orders = new Map<number | null, number[]>();

  constructor(readonly document: SampleDocument) {
    const { visual, image } = document;
    this.boxes = visual ? floats(visual.boxes).values : new Float32Array(0);
    this.n = visual?.n ?? 0;
    this.src = safeSrc(image?.src ?? null);
    let [right, bottom] = [0, 0];
    for (let token = 0; token < this.n; token++) {
      const box = boxOf(this.boxes, token);
      if (box && areaOf(box) > 0) [right, bottom] = [Math.max(right, box.x1), Math.max(bottom, box.y1)];
    }
    this.width = image?.width || right || 1;
    this.height = image?.height || bottom || 1;
    this.frames = visual?.frames ?? [];
    this.shapes = document.objects.map((object) => this.shape(object));
  }

  private shape(object: SceneObject): Shape {
    const mask = maskOf(object.mask);
    const [height, width] = object.mask.size;
    const known = object.tokens.length > 0 || this.n === 0;
    const tokens = known ? object.tokens : tokensOfMask(this.boxes, mask, [height, width], this);
    const outline = outlineOf(mask, height, width);
    return { object, tokens: new Set(tokens), mask, size: [height, width], outline };
  }

  /** Placed tokens of a frame, or of all, in the order of drawing. */
  order(frame: number | null): number[] {
    let found = this.orders.get(frame);
    if (!found) {
      const one = frame === null ? undefined : this.frames[frame];
      const chosen = (t: number) => !one || (t >= one.first && t < one.first + one.count);
      found = drawOrder(this.boxes, chosen);
      this.orders.set(frame, found);
    }
    return found;
  }

  /** All tokens of a frame, or of the image, placed or not. */
  tokens(frame: number | null): number[] {
    const one = frame === null ? undefined : this.frames[frame];
    return Array.from({ length: one?.count ?? this.n }, (_, i) => (one?.first ?? 0) + i);
  }

  /** What a person calls a token: its index among the visual tokens, its position in the sequence. */
  tokenName(token: number): string {
    const visual = this.document.visual;
    const loose = visual?.unplaced.find((one) => one.token === token);
    if (loose) return loose.label;
    const [row, column] = [visual?.rows[token] ?? -1, visual?.cols[token] ?? -1];
    const place = row >= 0 && column >= 0 ? `, row ${row + 1}, column ${column + 1}` : "";
    const frame =
      this.frames.length > 1
        ? this.frames.find((one) => token >= one.first && token < one.first + one.count)
        : undefined;
    const position = visual?.positions[token] ?? -1;
    const where = position < 0 ? "" : ` (position ${position})`;
    return `index ${token}${where}${place}${frame ? `, ${frame.name}` : ""}`;
  }
}

/** Colours of objects, told apart with every common colour blindness (Okabe and Ito 2008). */
export const OBJECT_COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7"];
