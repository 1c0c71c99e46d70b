/** A Node server that holds 60 MB of memory that cannot be shared or left out, and counts requests. */
export const SERVER = `
const memory = require("crypto").randomBytes(60 * 1000 * 1000);
let count = 0;
require("http").createServer((_, response) => response.end(String(++count + memory[0] * 0))).listen(3000, "0.0.0.0");
`;

export const PORT = 3000;
