import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newId } from "@dormice/protocol";
import { inside, TestEngine } from "./engine.ts";

const LIMITS = { cpuCount: 1, memoryMib: 512, diskMib: 256, pids: 512 };

let engine: TestEngine;
let rootfsId = "";

before(async () => {
	engine = await TestEngine.open();
	for await (const message of engine.client.buildRootfs({ name: "base" })) rootfsId = message.rootfsId;
});

after(() => engine[Symbol.asyncDispose]());

/**
 * Asks for `id -u` as root: the first user begins the request, the second ends it over the same connection.
 * Both stay until it is answered: of a sender that is gone, gVisor knows no pid.
 */
const TWO_VOICES = `
import array, os, socket, struct, sys
text = lambda t: struct.pack("<I", len(t)) + t.encode() + b"\\0"
texts = lambda *all: struct.pack("<I", len(all)) + b"".join(map(text, all))
frame = struct.pack("<I", 18) + text("/") + text("id") + texts("id", "-u") + texts("PATH=/usr/bin")
s = socket.socket(socket.AF_UNIX)
s.connect("/run/dormice/elevate.sock")
said, over = os.pipe(), os.pipe()
def voice(uid, speak):
    if os.fork() == 0:
        os.close(over[1])
        os.setuid(uid)
        speak()
        os.write(said[1], b"x")
        os.read(over[0], 1)
        os._exit(0)
    os.read(said[0], 1)
begin = lambda: socket.send_fds(s, [struct.pack("<I", len(frame))], [0, 1, 2])
end = lambda: s.sendall(frame)
first, second = map(int, sys.argv[1:])
if first == second:
    voice(first, lambda: (begin(), end()))
else:
    voice(first, begin)
    voice(second, end)
answer = s.recv(4)
print("status", struct.unpack("<i", answer)[0] if answer else None)
`;

for (const isolation of ["gvisor", "microvm"] as const) describe(`inside a ${isolation}`, () => rows(isolation));

function rows(isolation: "gvisor" | "microvm"): void {
	let address = "";
	let run: (command: string) => Promise<string>;

	before(async () => {
		const source = { case: "rootfsId", value: rootfsId } as const;
		const { sandbox } = await engine.client.boot({ sandboxId: newId("sandbox"), limits: LIMITS, source, isolation });
		address = sandbox?.address ?? "";
		({ run } = await inside(address));
		await run(`for name in listed own other; do useradd $name; done; usermod -aG sudo listed; usermod -g sudo own
			echo '%sudo ALL=(ALL:ALL) NOPASSWD:ALL' > /etc/sudoers.d/group; chmod 440 /etc/sudoers.d/group`);
	});

	for (const [who, name, may] of [
		["root", "root", true],
		["the base's user", "user", true],
		["who is listed in the group sudo", "listed", true],
		["whose own group is sudo", "own", true],
		["who is in no such group", "other", false],
		["nobody", "nobody", false],
	] as const) {
		test(`sudo ${may ? "makes root of" : "refuses"} ${who}`, async () => {
			const identity = `--reuid=${name} --regid=$(id -g ${name}) --init-groups`;
			const said = await run(`cd /; setpriv ${identity} sudo -n id -u 2> /dev/null || echo refused`);
			assert.equal(said, may ? "0" : "refused");
		});
	}

	if (isolation === "gvisor")
		for (const [head, rest, said] of [
			["0", "0", "0\nstatus 0"],
			["0", "65534", "status None"],
			["65534", "0", "status None"],
			["65534", "65534", "status 65537"],
		] as const) {
			test(`a request for root, begun by uid ${head} and ended by uid ${rest}, is answered: ${said.replace("\n", ", ")}`, async () => {
				await run(`cat > /tmp/voices.py <<'END'\n${TWO_VOICES}\nEND`);
				assert.equal(await run(`python3 /tmp/voices.py ${head} ${rest}`), said);
			});
		}

	for (const [what, path, make, message] of [
		["a FIFO", "/tmp/fifo", "mkfifo /tmp/fifo", /is a FIFO/],
		["a socket", "/tmp/socket", "python3 -c 'import socket; socket.socket(1).bind(\"/tmp/socket\")'", /is a socket/],
		["a device", "/dev/zero", "true", /is a device/],
		["a terminal", "/dev/ptmx", "true", /is a device/],
		["a directory", "/etc", "true", /is a directory/],
		["a process's memory", "/proc/self/mem", "true", /cannot be read as a file|takes no files/],
		["what is a pipe or file of the supervisor", "/proc/self/fd/3", "true", /is a socket|is a FIFO/],
	] as const) {
		test(`${what} is neither read nor written as a file`, async () => {
			await run(`rm -f ${path.startsWith("/tmp/") ? path : "/tmp/none"}; ${make}`);
			const url = `http://${address}:49983/files?path=${path}`;
			const upload = { method: "POST", headers: { "content-type": "application/octet-stream" }, body: "x" };
			for (const init of [{}, { method: "HEAD" }, upload]) {
				const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
				const said = await answer.text();
				assert.equal(answer.status, 400, said);
				if (!("method" in init && init.method === "HEAD")) assert.match(said, message);
			}
		});
	}

	test("files of /proc are read whole", async () => {
		for (const path of ["/proc/version", "/proc/cpuinfo", "/proc/sys/kernel/hostname"]) {
			const answer = await fetch(`http://${address}:49983/files?path=${path}`, { signal: AbortSignal.timeout(20_000) });
			const text = await answer.text();
			assert.deepEqual([answer.status, text.trim()], [200, await run(`cat ${path}`)], path);
			assert.equal(answer.headers.get("content-length"), `${Buffer.byteLength(text)}`);
		}
	});
}
