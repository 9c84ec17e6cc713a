import { s } from "../dom";
import { boxOf } from "../geometry/boxes";
import { unionSides } from "../image/union";
import type { Stage } from "../image/stage";
import { OBJECT_COLOURS } from "../session/picture";
import type { State } from "../state/state";

const WIDTH = 640;

/**
 * The image with its tokens as vectors over the photograph.
 *
 * @returns also whether the photograph could be put in: a page on disk may not read image files.
 */
export function imageFigure(stage: Stage, state: State): { figure: SVGSVGElement; whole: boolean } | null {
  const { picture } = stage;
  if (!picture) return null;
  const scale = WIDTH / picture.width;
  const height = Math.round(picture.height * scale);
  const figure = s("svg", { width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}` });
  const photograph = pixelsOf(stage.imageElement);
  if (photograph) figure.append(s("image", { href: photograph, width: WIDTH, height, preserveAspectRatio: "none" }));
  const order = picture.order(state.frame);
  const marks = stage.described(state, order);
  const colours = stage.coloursOf(state);
  for (const token of order) {
    const box = boxOf(picture.boxes, token);
    if (!box) continue;
    const [x, y] = [box.x0 * scale, box.y0 * scale];
    const [w, h] = [(box.x1 - box.x0) * scale, (box.y1 - box.y0) * scale];
    const colour = colours?.[token] ?? 0;
    if (colour !== 0) {
      const fill = `rgb(${colour & 255},${(colour >>> 8) & 255},${(colour >>> 16) & 255})`;
      figure.append(s("rect", { x, y, width: w, height: h, fill, "fill-opacity": 0.82 }));
    }
    const said = w >= 22 ? marks.words?.(token) : null;
    if (said) {
      const size = Math.max(7, Math.min(14, (w * 1.75) / Math.max(4, said.word.length)));
      figure.append(s("text", { x: x + w / 2, y: y + h / 2, fill: said.ink, "font-size": size, "font-family": "sans-serif", "text-anchor": "middle", "dominant-baseline": "central" }, said.word));
    }
  }
  picture.shapes.forEach((shape, i) => {
    const [fx, fy] = [WIDTH / shape.size[1], height / shape.size[0]];
    const d = shape.outline.map(([a, b]) => `M${a.x * fx} ${a.y * fy}L${b.x * fx} ${b.y * fy}`).join("");
    figure.append(s("path", { d, stroke: OBJECT_COLOURS[i % OBJECT_COLOURS.length], "stroke-width": 2, fill: "none" }));
  });
  const sides = unionSides(picture.boxes, marks.selected);
  const d = sides.map(([x0, y0, x1, y1]) => `M${x0 * scale} ${y0 * scale}L${x1 * scale} ${y1 * scale}`).join("");
  for (const [stroke, width] of [["#101418", 4.5], ["#ffffff", 2]] as const) {
    figure.append(s("path", { d, stroke, "stroke-width": width, fill: "none", "stroke-linecap": "square" }));
  }
  return { figure, whole: photograph !== null || picture.src === null };
}

function pixelsOf(image: HTMLImageElement): string | null {
  if (!image.complete || image.naturalWidth === 0) return null;
  if (image.src.startsWith("data:")) return image.src;
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  try {
    return canvas.toDataURL("image/png");
  } catch {
    return null;
  }
}
