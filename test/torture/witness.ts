/** What the witness says of the machine it runs in. */
export interface Testimony {
	/** Additions it counted in memory. */
	n: number;
	/** Lines of its log: one an addition, each fsynced before the addition was answered. */
	lines: number;
	/** Differs from one start of the witness to the next: memory that was lost says so. */
	birth: string;
	/** What is not as it must be; empty when all is well. */
	wrong: string[];
	hostname: string;
	machineId: string;
	random: string;
	wallMs: number;
	ticks: number;
}

export const WITNESS_PORT = 3000;
export const WITNESS_PATH = "/home/user/witness.cjs";

/**
 * A program inside the sandbox that holds one of everything a sleep could break, and tells what it finds. `memoryMiB` of
 * random bytes are summed over; a file of the disk was renamed while open, one in memory deleted; connections, watches,
 * children and pipes are open all the time.
 */
export function witnessProgram(memoryMiB: number): string {
	return `
const { createHash, randomBytes } = require("crypto"), fs = require("fs"), net = require("net"), os = require("os"), http = require("http");
const { spawn, execFileSync } = require("child_process");
const HOME = "/home/user", LOG = HOME + "/witness.log";
const birth = randomBytes(8).toString("hex");
const memory = randomBytes(${memoryMiB} << 20);
const sum = () => createHash("md5").update(memory).digest("hex");
const expected = sum();
fs.closeSync(fs.openSync(LOG, "a"));
const countLines = () => fs.readFileSync(LOG, "latin1").split("\\n").length - 1;
let n = countLines(), ticks = 0, events = 0, echoed = 0;
const log = fs.openSync(LOG, "a");
fs.writeFileSync(HOME + "/renamed.old", "renamed " + birth);
const renamed = fs.openSync(HOME + "/renamed.old", "r");
fs.renameSync(HOME + "/renamed.old", HOME + "/renamed");
fs.writeFileSync("/tmp/deleted", "deleted " + birth);
const deleted = fs.openSync("/tmp/deleted", "r");
fs.unlinkSync("/tmp/deleted");
const read = (fd) => { const b = Buffer.alloc(100); return b.toString("utf8", 0, fs.readSync(fd, b, 0, 100, 0)); };
fs.mkdirSync(HOME + "/watched", { recursive: true });
fs.watch(HOME + "/watched", () => events++);
const ticker = spawn("sh", ["-c", "while :; do echo tick; sleep 0.2; done"], { stdio: ["ignore", "pipe", "ignore"] });
ticker.stdout.on("data", (chunk) => { ticks += String(chunk).split("\\n").length - 1; });
let onEcho = () => {};
const loopback = net.createServer((socket) => socket.pipe(socket)).listen(4000, "127.0.0.1", () => { channel.connect(4000, "127.0.0.1"); });
const channel = new net.Socket();
channel.on("data", (data) => onEcho(String(data)));
channel.on("error", (error) => { channelError = error.message; });
let channelError = "";
const soon = (what) => new Promise((resolve) => { let left = 500; const ask = () => what() || left-- === 0 ? resolve() : setTimeout(ask, 20); ask(); });
async function testify() {
  const wrong = [];
  const must = (ok, what) => { if (!ok) wrong.push(what); };
  must(sum() === expected, "memory changed");
  must(read(renamed) === "renamed " + birth, "a renamed open file reads: " + read(renamed));
  must(read(deleted) === "deleted " + birth, "a deleted open file reads: " + read(deleted));
  const before = events;
  fs.writeFileSync(HOME + "/watched/" + Math.random(), "");
  await soon(() => events > before);
  must(events > before, "a watch is silent");
  for (const name of fs.readdirSync(HOME + "/watched")) fs.unlinkSync(HOME + "/watched/" + name);
  const word = "word " + ++echoed;
  let heard = "";
  onEcho = (data) => { heard += data; };
  channel.write(word);
  await soon(() => heard === word);
  must(heard === word, "a loopback connection answers '" + heard + "' " + channelError);
  const ticked = ticks;
  await soon(() => ticks > ticked);
  must(ticks > ticked && ticker.exitCode === null, "a child's pipe is silent");
  execFileSync("sh", ["-c", "(sleep 0.01 &) ; true"]);
  const statOf = (pid) => { try { return fs.readFileSync("/proc/" + pid + "/stat", "latin1"); } catch { return ""; } };
  const zombies = () => fs.readdirSync("/proc").filter((pid) => /^\\d+$/.test(pid)).map(statOf).filter((stat) => / Z /.test(stat));
  await soon(() => zombies().length === 0);
  must(zombies().length === 0, "zombies are left: " + zombies().map((stat) => stat.slice(0, 60)).join("; "));
  const wall = Date.now(), monotonic = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const skew = Math.abs((Date.now() - wall) - (performance.now() - monotonic));
  must(skew < 2000, "the clocks went apart by " + skew + " ms in an instant");
  const lines = countLines();
  must(lines === n, "memory counts " + n + " additions, the disk " + lines);
  return { n, lines, birth, wrong, hostname: os.hostname(), machineId: fs.readFileSync("/etc/machine-id", "utf8").trim(), random: randomBytes(16).toString("hex"), wallMs: Date.now(), ticks };
}
http.createServer(async (request, response) => {
  try {
    if (request.url === "/add") { fs.writeSync(log, ++n + "\\n"); fs.fsyncSync(log); response.end(String(n)); }
    else if (request.url === "/testify") response.end(JSON.stringify(await testify()));
    else response.end("ok");
  } catch (error) { response.statusCode = 500; response.end(String(error.stack)); }
}).listen(${WITNESS_PORT});
`;
}
