// What every client's script is made of: cases that run one after another, each told as a line of JSON.
// A script is called `script URL KEY MODEL SURFACE scripted|embedded`, from a folder that has the client installed.

const [url, key, model, surface, which] = process.argv.slice(2);
export const given = { url, key, model, surface, embedded: which === "embedded" };
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const cases = [];

/** A case that needs a model that does as it is told. */
export function scripted(name, run) {
  if (!given.embedded) cases.push([name, run]);
}

/** A case that any model passes. */
export function anyModel(name, run) {
  cases.push([name, run]);
}

export async function run() {
  for (const [name, body] of cases) {
    let said = { case: name, outcome: "passed", why: "" };
    try {
      await body();
    } catch (error) {
      console.error(error);
      said = { case: name, outcome: "failed", why: `${error?.name}: ${error?.message}`.slice(0, 500) };
    }
    console.log(JSON.stringify(said));
  }
}
