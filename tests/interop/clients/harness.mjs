// What every third-party client under test does: obey commands from standard input, tell what it
// sees on standard output, one JSON object a line.
import { createInterface } from "node:readline";

/** The address of the server, such as ws://127.0.0.1:3000/websocket. */
export const url = process.argv[2];

/** @param {object} event */
export function say(event) {
  process.stdout.write(JSON.stringify(event) + "\n");
}

/** Plain data of an error, whatever class the client made of it. */
export function errorData(error) {
  const { error: code, reason, details, errorType, message } = error;
  return { error: code, reason, details, errorType, message };
}

/**
 * @param {{
 *   subscribe(name: string, args: unknown[]): Promise<void>,
 *   call(name: string, args: unknown[]): Promise<unknown>,
 * }} client each rejects with the server's error
 */
export function obey(client) {
  createInterface({ input: process.stdin })
    .on("line", async (line) => {
      const { command, name, args } = JSON.parse(line);
      try {
        const value = await client[command](name, args);
        say({ event: command, name, value: value ?? null });
      } catch (error) {
        say({ event: "error", name, error: errorData(error) });
      }
    })
    .on("close", () => process.exit(0));
  say({ event: "connected" });
}
