/** A file of an initramfs; no content is a directory. */
export type Entry = { name: string; mode: number; content?: Uint8Array };

const DIRECTORY = 0o040000;
const FILE = 0o100000;
const ALIGNMENT = 4;

/**
 * The archive that the kernel unpacks as its first root: "newc", as its Documentation/driver-api/early-userspace/buffer-format.rst
 * has it. The same entries give the same bytes. Directories come before what is in them.
 */
export function initramfs(entries: readonly Entry[]): Buffer {
	const all = [...entries, { name: "TRAILER!!!", mode: 0, content: new Uint8Array() }];
	return Buffer.concat(all.flatMap((entry, i) => record(entry, i + 1)));
}

function record({ name, mode, content }: Entry, inode: number): Buffer[] {
	const isTrailer = mode === 0;
	const fields = {
		inode,
		mode: isTrailer ? 0 : mode | (content === undefined ? DIRECTORY : FILE),
		...{ uid: 0, gid: 0, links: content === undefined ? 2 : 1, mtime: 0, size: content?.length ?? 0 },
		...{ deviceMajor: 0, deviceMinor: 0, ofDeviceMajor: 0, ofDeviceMinor: 0, nameLength: name.length + 1, check: 0 },
	};
	const hex = Object.values(fields).map((value) => value.toString(16).padStart(8, "0"));
	return [padded(Buffer.from(`070701${hex.join("")}${name}\0`)), padded(Buffer.from(content ?? []))];
}

function padded(bytes: Buffer): Buffer {
	const missing = (ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT;
	return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}
