import type { RunLengths } from "../documents";

/** A mask of 0 and 1, row by row, of COCO's uncompressed run lengths, which go column by column. */
export function maskOf({ size: [height, width], counts }: RunLengths): Uint8Array {
  const mask = new Uint8Array(height * width);
  let place = 0;
  counts.forEach((count, run) => {
    if (run % 2 === 1) {
      for (let i = place; i < place + count && i < mask.length; i++) {
        mask[(i % height) * width + Math.floor(i / height)] = 1;
      }
    }
    place += count;
  });
  if (place !== height * width) {
    throw new Error(`expected runs of ${height * width} pixels together, got ${place}`);
  }
  return mask;
}

/** The inverse of `maskOf`. */
export function runLengthsOf(mask: Uint8Array, height: number, width: number): RunLengths {
  const counts: number[] = [];
  let value = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (mask[y * width + x] !== value) {
        counts.push(run);
        value = 1 - value;
        run = 0;
      }
      run += 1;
    }
  }
  counts.push(run);
  return { size: [height, width], counts };
}
