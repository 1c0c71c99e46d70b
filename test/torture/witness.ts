import { patience } from "./patience.ts";

/** What the witness says of the machine it runs in. */
export interface Testimony {
	/** Additions it counted in memory. */
	n: number;
	/** Additions that failed: whether their lines are in the log is not known. */
	doubtful: number;
	/** Lines of its log: one an addition, each fsynced before the addition was answered. */
	lines: number;
	/** Differs from one start of the witness to the next: memory that was lost says so. */
	birth: string;
	/** What is not as it must be; empty when all is well. */
	wrong: string[];
	hostname: string;
	machineId: string;
	/** Of the kernel. */
	random: string;
	wallMs: number;
	ticks: number;
}

export const WITNESS_PORT = 3000;
export const WITNESS_PATH = "/home/user/witness.cjs";

/**
 * A program inside the sandbox that holds one of everything a sleep could break, and tells what it finds. `memoryMiB` of
 * random bytes are summed over; a file of the disk was renamed while open, one in memory deleted; connections, listeners,
 * watches, children, pipes, a terminal and timers are open all the time. Asked to `/hold`, it keeps a deleted file of the
 * disk open until `/release`.
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
let n = countLines(), doubtful = 0, ticks = 0, events = 0, echoed = 0;
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
const CLOCK_SLACK_MS = ${2_000 * patience.times};
let beats = 0;
setInterval(() => beats++, 100);
const clocks = () => ({ wall: Date.now(), monotonic: performance.now() });
let before = clocks();
const terminal = spawn("python3", ["-c", "import pty; pty.spawn(['cat'])"], { stdio: ["pipe", "pipe", "ignore"] });
let screen = "";
terminal.stdout.on("data", (data) => { screen += data; });
const held = [];
const ticker = spawn("sh", ["-c", "while :; do echo tick; sleep 0.2; done"], { stdio: ["ignore", "pipe", "ignore"] });
ticker.stdout.on("data", (chunk) => { ticks += String(chunk).split("\\n").length - 1; });
let onEcho = () => {};
const loopback = net.createServer((socket) => socket.pipe(socket)).listen(4000, "127.0.0.1", () => { channel.connect(4000, "127.0.0.1"); });
const channel = new net.Socket();
channel.on("data", (data) => onEcho(String(data)));
channel.on("error", (error) => { channelError = error.message; });
let channelError = "";
const UNIX_PATH = "/tmp/witness.sock";
fs.rmSync(UNIX_PATH, { force: true });
net.createServer((socket) => socket.pipe(socket)).listen(UNIX_PATH);
// A new connection to a listener that may be older than the last sleep.
const echo = (target, word) => new Promise((resolve) => {
  let heard = "";
  const socket = net.connect(target, () => socket.write(word));
  socket.on("data", (data) => { heard += data; if (heard.length >= word.length) socket.end(); });
  socket.on("error", (error) => resolve(error.message));
  socket.on("close", () => resolve(heard));
  setTimeout(() => socket.destroy(), 10_000).unref();
});
const soon = (what) => new Promise((resolve) => { let left = 500; const ask = () => what() || left-- === 0 ? resolve() : setTimeout(ask, 20); ask(); });
function kernelRandom() {
  const bytes = Buffer.alloc(16), fd = fs.openSync("/dev/urandom", "r");
  fs.readSync(fd, bytes);
  fs.closeSync(fd);
  return bytes.toString("hex");
}
function hold() {
  fs.writeFileSync(HOME + "/held", "held " + birth);
  held.push(fs.openSync(HOME + "/held", "r"));
  fs.unlinkSync(HOME + "/held");
}
function releaseHeld() {
  for (const fd of held.splice(0)) {
    if (read(fd) !== "held " + birth) throw new Error("a deleted open file of the disk reads: " + read(fd));
    fs.closeSync(fd);
  }
}
function add() {
  doubtful++;
  fs.writeSync(log, n + 1 + "\\n");
  fs.fsyncSync(log);
  doubtful--;
  return ++n;
}
async function testify() {
  const wrong = [];
  const must = (ok, what) => { if (!ok) wrong.push(what); };
  must(sum() === expected, "memory changed");
  must(read(renamed) === "renamed " + birth, "a renamed open file reads: " + read(renamed));
  must(read(deleted) === "deleted " + birth, "a deleted open file reads: " + read(deleted));
  const heardOf = events;
  fs.writeFileSync(HOME + "/watched/" + Math.random(), "");
  await soon(() => events > heardOf);
  must(events > heardOf, "a watch is silent");
  for (const name of fs.readdirSync(HOME + "/watched")) fs.unlinkSync(HOME + "/watched/" + name);
  const word = "word " + ++echoed;
  let heard = "";
  onEcho = (data) => { heard += data; };
  channel.write(word);
  await soon(() => heard === word);
  must(heard === word, "a loopback connection answers '" + heard + "' " + channelError);
  for (const target of [{ port: 4000, host: "127.0.0.1" }, { path: UNIX_PATH }])
    must(await echo(target, word) === word, "a listener is silent: " + JSON.stringify(target));
  screen = "";
  terminal.stdin.write(word + "\\n");
  // Once by the terminal, once by the program in it.
  const isOnScreen = () => screen.split(word).length === 3;
  await soon(isOnScreen);
  must(isOnScreen() && terminal.exitCode === null, "a terminal shows '" + screen + "'");
  const [ticked, beaten] = [ticks, beats];
  await soon(() => ticks > ticked && beats > beaten);
  must(ticks > ticked && ticker.exitCode === null, "a child's pipe is silent");
  must(beats > beaten, "a timer stands still");
  execFileSync("sh", ["-c", "(sleep 0.01 &) ; true"]);
  const statOf = (pid) => { try { return fs.readFileSync("/proc/" + pid + "/stat", "latin1"); } catch { return ""; } };
  const isZombie = (pid) => / Z /.test(statOf(pid));
  // Each that there is is to go; that one comes and goes is as it should be.
  const zombies = fs.readdirSync("/proc").filter((pid) => /^\\d+$/.test(pid) && isZombie(pid));
  await soon(() => !zombies.some(isZombie));
  must(!zombies.some(isZombie), "zombies are left: " + zombies.map(statOf).map((stat) => stat.slice(0, 60)).join("; "));
  const first = clocks();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const now = clocks();
  const skew = Math.abs((now.wall - first.wall) - (now.monotonic - first.monotonic));
  must(skew < CLOCK_SLACK_MS, "the clocks went apart by " + skew + " ms in an instant");
  const passed = { wall: now.wall - before.wall, monotonic: now.monotonic - before.monotonic };
  must(passed.monotonic > 0 && passed.monotonic < passed.wall + CLOCK_SLACK_MS, "since the last time " + JSON.stringify(passed) + " ms passed");
  before = now;
  const lines = countLines();
  must(lines >= n && lines <= n + doubtful, "memory counts " + n + " additions, the disk " + lines);
  return { n, doubtful, lines, birth, wrong, hostname: os.hostname(), machineId: fs.readFileSync("/etc/machine-id", "utf8").trim(), random: kernelRandom(), wallMs: Date.now(), ticks };
}
let turn = Promise.resolve();
const inTurn = (work) => { turn = turn.then(work, work); return turn; };
http.createServer(async (request, response) => {
  try {
    if (request.url === "/add") response.end(String(add()));
    else if (request.url === "/testify") response.end(JSON.stringify(await inTurn(testify)));
    else if (request.url === "/hold") response.end(String(hold()));
    else if (request.url === "/release") response.end(String(releaseHeld()));
    else response.end("ok");
  } catch (error) { response.statusCode = 500; response.end(String(error.stack)); }
}).listen(${WITNESS_PORT});
`;
}
