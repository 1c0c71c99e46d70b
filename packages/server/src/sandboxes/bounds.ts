import { DormiceError } from "@dormice/protocol";

const LIMIT = { keys: 128, keyBytes: 256, totalBytes: 64 << 10 } as const;

/** What a client may attach to a sandbox: it is carried in every answer and every start. Throws `invalid_argument`. */
export function checkAttached(attached: { metadata: Record<string, string>; envVars: Record<string, string> }): void {
	let totalBytes = 0;
	for (const [name, map] of Object.entries(attached)) {
		const entries = Object.entries(map);
		if (entries.length > LIMIT.keys) refuse(`${name}: at most ${LIMIT.keys} keys, and there are ${entries.length}`);
		for (const [key, value] of entries) {
			const keyBytes = Buffer.byteLength(key);
			if (keyBytes > LIMIT.keyBytes) {
				refuse(`${name}: a key has at most ${LIMIT.keyBytes} bytes, and '${key.slice(0, 40)}…' has ${keyBytes}`);
			}
			totalBytes += keyBytes + Buffer.byteLength(value);
		}
	}
	if (totalBytes > LIMIT.totalBytes) {
		refuse(
			`metadata and envVars: at most ${LIMIT.totalBytes} bytes of keys and values in both together, and there are ${totalBytes}`,
		);
	}
}

function refuse(message: string): never {
	throw new DormiceError("invalid_argument", message);
}
