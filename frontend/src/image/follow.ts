import type { State } from "../state/state";

/**
 * What a click on a token, or a key, makes of a state. It selects the token or releases it; in the
 * lens view it also follows it through the layers, and a selected one that is not followed yet stays
 * selected.
 */
export function pressed(state: State, token: number): Pick<State, "tokens" | "follow"> {
  const inLens = state.view === "lens";
  const tokens = new Set(state.tokens);
  if (inLens && tokens.has(token) && state.follow !== token) return { tokens, follow: token };
  const released = tokens.delete(token);
  if (!released) tokens.add(token);
  if (released) return { tokens, follow: state.follow === token ? null : state.follow };
  return { tokens, follow: inLens ? token : state.follow };
}
