/** What the server says and takes; `collect/_collection.py` and `collect/_requests.py` have the same. */

import { patientFetch } from "../sources/patient";

export interface Welcome {
  title: string;
  consent: string[];
  consentId: string;
  task: "describe" | "read" | "both";
  images: number;
  radius: number;
  session: boolean;
}

export interface Trial {
  done: number;
  total: number;
  finished: boolean;
  trial: number;
  task: "describe" | "read";
  name: string;
  width: number;
  height: number;
  pieces: string[];
  radius: number;
}

export interface Word {
  text: string;
  start: number;
  end: number;
}

export type Position = [time: number, x: number | null, y: number | null];

export interface Record {
  task: "describe" | "read";
  positions: Position[];
  pauses: [number, number][];
  words: Word[];
  end: number;
  instruments: string[];
}

export class Refused extends Error {}

async function answer(response: Response): Promise<unknown> {
  if (response.ok) return response.json();
  let text = `the server answered ${response.status}`;
  try {
    text = ((await response.json()) as { error?: string }).error ?? text;
  } catch {
    // No JSON: the line above says what there is to say.
  }
  throw new Refused(text);
}

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  let response: Response;
  try {
    response = await patientFetch(path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  } catch {
    throw new Refused("the server does not answer: it may have been stopped");
  }
  return answer(response);
}

export const api = {
  welcome: () => ask("GET", "api/welcome") as Promise<Welcome>,
  begin: (consentId: string) => ask("POST", "api/session", { accepted: true, consentId }),
  next: () => ask("GET", "api/next") as Promise<Trial>,
  finish: (trial: number, record: Record) => ask("POST", `api/trials/${trial}`, record),
  withdraw: () => ask("DELETE", "api/session"),
};
