import type { IncomingMessage, ServerResponse } from "node:http";
import { posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DormiceError } from "@dormice/protocol";
import { negotiateEncoding } from "./encoding.ts";
import { isConditional, select } from "./range.ts";
import { openRegular, readPart, readSmall } from "./regular.ts";

const STATUS_OF = { not_modified: 304, precondition_failed: 412, unsatisfiable: 416 } as const;

/** Answers with a file's content. */
export async function sendDownload(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
	await using opened = await openRegular(path).catch((error) => {
		if (error instanceof DormiceError && error.reason === "path_not_found")
			throw new DormiceError("path_not_found", `path '${path}' does not exist`, { cause: error });
		throw error;
	});
	const { info } = opened;
	const conditional = isConditional(request.headers);
	const encoding = conditional ? "identity" : negotiateEncoding(request.headers["accept-encoding"]);
	if (encoding === undefined) {
		throw new DormiceError("not_acceptable", "no acceptable encoding: accept gzip or identity");
	}
	// Before the answer begins: what cannot be read can still be said, and the length that is promised is the true one.
	const small = await readSmall(path, opened);
	const size = small?.length ?? info.size;
	response.setHeader("Content-Type", "application/octet-stream");
	response.setHeader("Content-Disposition", disposition(posix.basename(path)));
	response.setHeader("Vary", "Accept-Encoding");
	response.setHeader("Last-Modified", info.mtime.toUTCString());
	response.setHeader("Accept-Ranges", "bytes");

	const selection = select(request.headers, { size, modifiedAtMs: info.mtimeMs });
	if (selection.kind !== "whole" && selection.kind !== "part") {
		if (selection.kind === "unsatisfiable") response.setHeader("Content-Range", `bytes */${size}`);
		response.writeHead(STATUS_OF[selection.kind]).end();
		return;
	}
	const { start, end } = selection.kind === "part" ? selection : { start: 0, end: size - 1 };
	if (selection.kind === "part") response.setHeader("Content-Range", `bytes ${start}-${end}/${size}`);
	response.statusCode = selection.kind === "part" ? 206 : 200;
	if (encoding === "gzip") response.setHeader("Content-Encoding", "gzip");
	else response.setHeader("Content-Length", end - start + 1);
	if (request.method === "HEAD") {
		response.end();
		return;
	}
	if (small && encoding === "identity") {
		response.end(small.subarray(start, end + 1));
		return;
	}
	const content = small ? Readable.from([small]) : readPart(path, opened, { start, end });
	if (encoding === "gzip") await pipeline(content, createGzip({ level: 1 }), response);
	else await pipeline(content, response);
}

function disposition(name: string): string {
	const ascii = name.replace(/[^\x20-\x7e]|["\\]/g, "_");
	return `inline; filename="${ascii}"; filename*=UTF-8''${encodeURIComponent(name)}`;
}
