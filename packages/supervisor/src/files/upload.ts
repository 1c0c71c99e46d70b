import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { posix } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { DormiceError } from "@dormice/protocol";
import { Busboy, type BusboyHeaders } from "@fastify/busboy";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { User } from "../users/users.ts";
import { type Metadata, metadataOf } from "./metadata.ts";
import type { Placer, Placing } from "./place.ts";

/** One uploaded file, as `POST /files` answers it. */
export interface Uploaded {
	readonly path: string;
	readonly name: string;
	readonly type: "file";
	readonly metadata?: Metadata;
}

export interface Upload {
	readonly sandbox: Sandbox;
	readonly placer: Placer;
	readonly user: User;
	/** From the query; with it, the request carries one file. */
	readonly path: string | undefined;
}

/** Stores the files of a request's body, one after the other, never holding one in memory. */
export async function receiveUpload(request: IncomingMessage, upload: Upload): Promise<Uploaded[]> {
	const placing = { user: upload.user, metadata: metadataOf(request.headers) };
	const type = request.headers["content-type"] ?? "";
	const body = decoded(request);
	if (type.startsWith("multipart/form-data")) return receiveParts(body, request.headers, upload, placing);
	if (!type.startsWith("application/octet-stream")) {
		throw new DormiceError(
			"invalid_argument",
			`unsupported content type '${type}': send multipart/form-data or application/octet-stream`,
		);
	}
	if (!upload.path) throw new DormiceError("invalid_argument", "the query parameter 'path' is missing");
	const path = upload.sandbox.path(upload.path, upload.user);
	await upload.placer.place(path, body, placing);
	return [uploaded(path, placing.metadata)];
}

async function receiveParts(
	body: Readable,
	headers: IncomingHttpHeaders,
	upload: Upload,
	placing: Placing,
): Promise<Uploaded[]> {
	const done: Uploaded[] = [];
	const seen = new Set<string>();
	let placed = Promise.resolve();
	let broken: DormiceError | undefined;
	let current: Readable | undefined;
	const parser = openParser(headers);
	const store = async (part: Readable, filename: string | undefined) => {
		if (upload.path && seen.size > 0) {
			throw new DormiceError("invalid_argument", "with the query parameter 'path' only one file can be uploaded");
		}
		const named = upload.path || filename;
		if (!named) throw new DormiceError("invalid_argument", "a part has no file name, and the query no 'path'");
		const path = upload.sandbox.path(named, upload.user);
		if (seen.has(path)) throw new DormiceError("invalid_argument", `the path '${path}' appears twice in one request`);
		seen.add(path);
		// The parser says that a part was cut off, and then ends it as if it were whole.
		const confirm = () => {
			if (broken) throw broken;
		};
		await upload.placer.place(path, part, { ...placing, confirm });
		done.push(uploaded(path, placing.metadata));
	};
	// The type says that there is a file name; there is none in a part without one.
	parser.on("file", (field, part, filename: string | undefined) => {
		current = part;
		// A part can break before anybody reads it.
		part.on("error", (error) => {
			broken ??= malformed(error);
			parser.destroy(error);
		});
		if (field !== "file") return part.resume();
		// The parser gives the next part only when this one has been read, so they never overlap on the way in.
		placed = placed.then(() => store(part, filename));
		placed.catch((error) => parser.destroy(error));
	});
	const parsed = await Promise.allSettled([pipeline(body, parser)]);
	// When the client goes away the parser falls silent, and its part would wait for ever.
	if (parsed[0].status === "rejected") current?.destroy(malformed(parsed[0].reason));
	const stored = await Promise.allSettled([placed]);
	for (const outcome of [...stored, ...parsed]) {
		if (outcome.status === "fulfilled") continue;
		const { reason: error } = outcome;
		// A part that broke also failed to be stored; a full disk also broke its part. The one we can name came first.
		if (error instanceof DormiceError && error.reason !== "internal") throw error;
		throw broken ?? (error instanceof DormiceError ? error : malformed(error));
	}
	if (upload.path && done.length === 0) throw new DormiceError("invalid_argument", "the form has no part named 'file'");
	return done;
}

function openParser(headers: IncomingHttpHeaders): InstanceType<typeof Busboy> {
	try {
		const limits = { fileSize: Number.POSITIVE_INFINITY, parts: 10_000 };
		const type = headers["content-type"] ?? "";
		return new Busboy({
			headers: { ...headers, "content-type": type } satisfies BusboyHeaders,
			preservePath: true,
			// By its name: some clients give neither a file name nor a type.
			isPartAFile: (field) => field === "file",
			limits,
		});
	} catch (error) {
		throw malformed(error);
	}
}

function malformed(error: unknown): DormiceError {
	const message = error instanceof Error ? error.message : String(error);
	return new DormiceError("invalid_argument", `the body cannot be read: ${message}`, { cause: error });
}

function decoded(request: IncomingMessage): Readable {
	const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
	const raw = detached(request);
	if (encoding === "identity" || encoding === "") return raw;
	if (encoding !== "gzip") {
		throw new DormiceError("invalid_argument", `unsupported content encoding '${encoding}': send gzip or identity`);
	}
	const plain = createGunzip();
	pipeline(raw, plain).catch((error) => plain.destroy(malformed(error)));
	return plain;
}

/** The request's body, apart: a failure to store it must not destroy the connection, on which an answer is to come. */
function detached(request: IncomingMessage): Readable {
	const body = new PassThrough();
	request.pipe(body);
	request.once("close", () => {
		if (!request.complete) body.destroy(new DormiceError("invalid_argument", "the upload was cut off"));
	});
	return body;
}

function uploaded(path: string, metadata: Metadata): Uploaded {
	const entry = { path, name: posix.basename(path), type: "file" } as const;
	return Object.keys(metadata).length ? { ...entry, metadata } : entry;
}
