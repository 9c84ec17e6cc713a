import { type Point, boxOf, centreOf } from "../geometry/boxes";
import { tokenAt } from "../geometry/hit";
import { OBJECT_COLOURS, type Picture } from "../session/picture";
import { unionSides } from "./union";

export interface Marks {
  picture: Picture;
  order: readonly number[];
  selected: ReadonlySet<number>;
  /** The token under the pointer or the keyboard's cursor. */
  cursor: number | null;
  /** The object whose mask is drawn strongly. */
  object: number | null;
  showObjects: boolean;
  grid: boolean;
  /** Darkens what is not selected. */
  spotlight: boolean;
  /** The token that is followed through the layers. */
  followed: number | null;
  /** Tokens at which two lenses say different words; null without two. */
  differ: ReadonlySet<number> | null;
  words: ((token: number) => { word: string; ink: string }) | null;
  gesture: { kind: "box" | "lasso" | "brush"; points: readonly Point[]; radius: number } | null;
}

const DARK = "rgba(8,12,16,.85)";
const FOLLOWED = "#ff9a3d";

/** Draws everything that lies over the image and the tokens' colours; `scale` is CSS pixels each. */
export function drawMarks(
  context: CanvasRenderingContext2D,
  scaleX: number,
  scaleY: number,
  marks: Marks,
): void {
  const { picture, order } = marks;
  const place = (token: number) => {
    const box = boxOf(picture.boxes, token);
    if (!box) return null;
    return { x: box.x0 * scaleX, y: box.y0 * scaleY, w: (box.x1 - box.x0) * scaleX, h: (box.y1 - box.y0) * scaleY };
  };
  const all = order.map(place);
  const first = all.find((box) => box !== null);
  const side = first ? Math.min(first.w, first.h) : 0;
  if (marks.spotlight && marks.selected.size > 0) {
    context.fillStyle = "rgba(8,12,16,.5)";
    order.forEach((token, i) => {
      const box = all[i];
      if (box && !marks.selected.has(token)) context.fillRect(box.x, box.y, box.w, box.h);
    });
  }
  if (marks.grid && side >= 7) {
    context.beginPath();
    for (const box of all) {
      if (box) context.rect(box.x, box.y, box.w, box.h);
    }
    context.lineWidth = 1;
    context.strokeStyle = "rgba(128,136,144,.32)";
    context.stroke();
  }
  if (marks.showObjects) drawObjects(context, scaleX, scaleY, marks);
  if (marks.words && side >= 22) drawWords(context, order, all, marks, marks.words);
  if (marks.differ) drawDiffer(context, order, all, marks.differ);
  drawSelection(context, scaleX, scaleY, marks);
  const followed = marks.followed === null ? null : place(marks.followed);
  if (followed) {
    for (const [width, colour] of [[5, DARK], [2.5, FOLLOWED]] as const) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(followed.x, followed.y, followed.w, followed.h);
    }
  }
  const cursor = marks.cursor === null ? null : place(marks.cursor);
  if (cursor) {
    for (const [width, colour] of [[4, DARK], [2, "#ffffff"]] as const) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(cursor.x + 1, cursor.y + 1, cursor.w - 2, cursor.h - 2);
    }
  }
  drawGesture(context, scaleX, scaleY, marks);
}

/** A corner of every token at which two lenses differ. */
function drawDiffer(
  context: CanvasRenderingContext2D,
  order: readonly number[],
  all: readonly ({ x: number; y: number; w: number; h: number } | null)[],
  differ: ReadonlySet<number>,
): void {
  context.beginPath();
  order.forEach((token, i) => {
    const box = all[i];
    if (!box || !differ.has(token)) return;
    const side = Math.max(3, Math.min(9, 0.3 * Math.min(box.w, box.h)));
    const right = box.x + box.w;
    context.moveTo(right - side, box.y);
    context.lineTo(right, box.y);
    context.lineTo(right, box.y + side);
    context.closePath();
  });
  context.lineWidth = 1;
  context.strokeStyle = DARK;
  context.stroke();
  context.fillStyle = FOLLOWED;
  context.fill();
}

function drawWords(
  context: CanvasRenderingContext2D,
  order: readonly number[],
  all: readonly ({ x: number; y: number; w: number; h: number } | null)[],
  marks: Marks,
  words: (token: number) => { word: string; ink: string },
): void {
  const covered = coveredIn(marks.picture, order);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  order.forEach((token, i) => {
    const box = all[i];
    if (!box || covered.has(token)) return;
    const { word, ink } = words(token);
    const { size, text } = fitted(context, word, box.w - 3);
    context.font = `500 ${size}px system-ui, sans-serif`;
    context.lineWidth = 3;
    context.strokeStyle = ink === "#ffffff" ? "rgba(16,20,24,.55)" : "rgba(255,255,255,.55)";
    const at = [box.x + box.w / 2, box.y + box.h / 2, box.w - 2] as const;
    // Under an outline or on a gap a word keeps its own ground.
    if (marks.showObjects) context.strokeText(text, ...at);
    context.fillStyle = ink;
    context.fillText(text, ...at);
  });
}

const WIDTHS = new Map<string, number>();
const [SMALLEST, LARGEST] = [7.5, 14];

/** A word as large as its cell allows; cut where it would be too small to read. */
function fitted(
  context: CanvasRenderingContext2D,
  word: string,
  room: number,
): { size: number; text: string } {
  let width = WIDTHS.get(word);
  if (width === undefined) {
    context.font = "500 10px system-ui, sans-serif";
    width = context.measureText(word).width / 10;
    WIDTHS.set(word, width);
  }
  const size = Math.min(LARGEST, room / Math.max(width, 0.1));
  if (size >= SMALLEST) return { size, text: word };
  const kept = Math.max(1, Math.floor((word.length * size) / SMALLEST) - 1);
  return { size: SMALLEST, text: `${word.slice(0, kept)}…` };
}

const COVERED = new WeakMap<readonly number[], ReadonlySet<number>>();

/** Tokens under the middle of which another one is drawn: parts of an image may overlap. */
function coveredIn(picture: Picture, order: readonly number[]): ReadonlySet<number> {
  let found = COVERED.get(order);
  if (!found) {
    const several = picture.frames.length > 1;
    const hidden = (token: number) => {
      const box = boxOf(picture.boxes, token);
      return box !== null && tokenAt(picture.boxes, order, centreOf(box)) !== token;
    };
    found = new Set(several ? order.filter(hidden) : []);
    COVERED.set(order, found);
  }
  return found;
}

function drawObjects(
  context: CanvasRenderingContext2D,
  scaleX: number,
  scaleY: number,
  { picture, object }: Marks,
): void {
  picture.shapes.forEach((shape, i) => {
    const [height, width] = shape.size;
    const [fx, fy] = [(picture.width / width) * scaleX, (picture.height / height) * scaleY];
    context.beginPath();
    for (const [a, b] of shape.outline) {
      context.moveTo(a.x * fx, a.y * fy);
      context.lineTo(b.x * fx, b.y * fy);
    }
    const colour = OBJECT_COLOURS[i % OBJECT_COLOURS.length] as string;
    context.globalAlpha = object === null || object === i ? 1 : 0.35;
    for (const [line, style] of [[object === i ? 5 : 3.5, DARK], [object === i ? 3 : 1.75, colour]] as const) {
      context.lineWidth = line;
      context.strokeStyle = style;
      context.stroke();
    }
    context.globalAlpha = 1;
  });
}

function drawSelection(
  context: CanvasRenderingContext2D,
  scaleX: number,
  scaleY: number,
  { picture, selected }: Marks,
): void {
  if (selected.size === 0) return;
  context.beginPath();
  for (const [x0, y0, x1, y1] of unionSides(picture.boxes, selected)) {
    context.moveTo(x0 * scaleX, y0 * scaleY);
    context.lineTo(x1 * scaleX, y1 * scaleY);
  }
  context.lineCap = "square";
  for (const [line, style] of [[4.5, DARK], [2, "#ffffff"]] as const) {
    context.lineWidth = line;
    context.strokeStyle = style;
    context.stroke();
  }
}

function drawGesture(
  context: CanvasRenderingContext2D,
  scaleX: number,
  scaleY: number,
  { gesture }: Marks,
): void {
  const first = gesture?.points[0];
  const last = gesture?.points.at(-1);
  if (!gesture || !first || !last) return;
  context.beginPath();
  if (gesture.kind === "box") {
    const [x, y] = [Math.min(first.x, last.x) * scaleX, Math.min(first.y, last.y) * scaleY];
    context.rect(x, y, Math.abs(last.x - first.x) * scaleX, Math.abs(last.y - first.y) * scaleY);
  } else if (gesture.kind === "brush") {
    context.ellipse(last.x * scaleX, last.y * scaleY, gesture.radius * scaleX, gesture.radius * scaleY, 0, 0, 7);
  } else {
    for (const point of gesture.points) context.lineTo(point.x * scaleX, point.y * scaleY);
    context.closePath();
  }
  context.setLineDash([]);
  context.lineWidth = 3;
  context.strokeStyle = DARK;
  context.stroke();
  context.setLineDash([5, 4]);
  context.lineWidth = 1.5;
  context.strokeStyle = "#ffffff";
  context.stroke();
  context.setLineDash([]);
}
