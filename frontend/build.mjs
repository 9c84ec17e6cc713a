// Builds the bundle into the Python package; `--check` only says whether it is what the sources build.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const rooms = join(here, "..", "src", "retinoscope");

const INPUTS = ["package-lock.json", "tsconfig.json", "build.mjs"];

function filesUnder(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

/** SHA-256 over each input's name, length and bytes, in the order of the names. */
function inputHash() {
  const paths = [...filesUnder(join(here, "src")), ...INPUTS.map((name) => join(here, name))];
  const named = paths.map((path) => [relative(here, path).split(sep).join("/"), path]);
  named.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const hash = createHash("sha256");
  for (const [name, path] of named) {
    const bytes = readFileSync(path);
    hash.update(`${name}\0${bytes.length}\0`);
    hash.update(bytes);
  }
  return hash.digest("hex");
}

async function bundles() {
  const line = `retinoscope front end, sources sha256 ${inputHash()}`;
  const shared = {
    absWorkingDir: here,
    bundle: true,
    minify: true,
    write: false,
    target: "es2022",
    charset: "ascii",
    legalComments: "none",
    logLevel: "warning",
  };
  const script = { js: `/* ${line} */` };
  const style = { css: `/* ${line} */` };
  const outputs = {
    "viewer/static/viewer.js": { entryPoints: ["src/page.ts"], format: "iife", banner: script },
    "viewer/static/widget.js": { entryPoints: ["src/widget.ts"], format: "esm", banner: script },
    "viewer/static/viewer.css": { entryPoints: ["src/styles/viewer.css"], banner: style },
    "collect/static/collect.js": { entryPoints: ["src/collect/main.ts"], format: "iife", banner: script },
    "collect/static/collect.css": { entryPoints: ["src/collect/collect.css"], banner: style },
  };
  return Promise.all(
    Object.entries(outputs).map(async ([name, options]) => {
      const output = await build({ ...shared, ...options });
      return [join(rooms, name), output.outputFiles[0].contents];
    }),
  );
}

const files = await bundles();
const short = (path) => relative(rooms, path);
if (process.argv.includes("--check")) {
  const stale = files
    .filter(([path, bytes]) => !existsSync(path) || !readFileSync(path).equals(Buffer.from(bytes)))
    .map(([path]) => short(path));
  if (stale.length > 0) {
    console.error(`not what the sources build: ${stale.join(", ")}; run \`npm run build\``);
    process.exit(1);
  }
  console.log("the bundle is what the sources build");
} else {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    console.log(`${short(path)} ${(bytes.length / 1024).toFixed(0)} KiB`);
  }
}
