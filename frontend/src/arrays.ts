import type { Packed } from "./documents";

export interface Dense<T extends Float32Array | Int32Array | Uint8Array> {
  shape: number[];
  values: T;
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function buffer(packed: Packed, dtype: Packed["dtype"]): ArrayBuffer {
  if (packed.dtype !== dtype) throw new Error(`expected an array of ${dtype}, got ${packed.dtype}`);
  const bytes = bytesOf(packed.data);
  const count = packed.shape.reduce((a, b) => a * b, 1);
  const size = dtype === "u1" ? 1 : 4;
  if (bytes.length !== count * size) {
    throw new Error(`expected ${count * size} bytes for [${packed.shape}], got ${bytes.length}`);
  }
  return bytes.buffer;
}

/** Numbers as 32-bit floats; every platform with a browser is little-endian. */
export function floats(packed: Packed): Dense<Float32Array> {
  return { shape: packed.shape, values: new Float32Array(buffer(packed, "f4")) };
}

export function ints(packed: Packed): Dense<Int32Array> {
  return { shape: packed.shape, values: new Int32Array(buffer(packed, "i4")) };
}

/** The inverse of `floats` and `ints`, for fixtures and tests. */
export function pack(values: Float32Array | Int32Array, shape: number[]): Packed {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return { dtype: values instanceof Float32Array ? "f4" : "i4", shape, data: btoa(binary) };
}
