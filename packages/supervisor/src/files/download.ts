import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DormiceError } from "@dormice/protocol";
import { errnoCode, fileError } from "../errno.ts";
import { negotiateEncoding } from "./encoding.ts";
import { isConditional, select } from "./range.ts";

const STATUS_OF = { not_modified: 304, precondition_failed: 412, unsatisfiable: 416 } as const;

/** Answers with a file's content. */
export async function sendDownload(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
	const info = await stat(path).catch((error) => {
		if (errnoCode(error) === "ENOENT") throw new DormiceError("path_not_found", `path '${path}' does not exist`);
		throw fileError(error, `reading '${path}'`);
	});
	if (info.isDirectory()) throw new DormiceError("invalid_argument", `path '${path}' is a directory`);
	if (!info.isFile()) throw new DormiceError("invalid_argument", `path '${path}' is not a regular file`);
	const conditional = isConditional(request.headers);
	const encoding = conditional ? "identity" : negotiateEncoding(request.headers["accept-encoding"]);
	if (encoding === undefined) {
		throw new DormiceError("not_acceptable", "no acceptable encoding: accept gzip or identity");
	}
	response.setHeader("Content-Type", "application/octet-stream");
	response.setHeader("Content-Disposition", disposition(posix.basename(path)));
	response.setHeader("Vary", "Accept-Encoding");
	response.setHeader("Last-Modified", info.mtime.toUTCString());
	response.setHeader("Accept-Ranges", "bytes");

	const selection = select(request.headers, { size: info.size, modifiedAtMs: info.mtimeMs });
	if (selection.kind !== "whole" && selection.kind !== "part") {
		if (selection.kind === "unsatisfiable") response.setHeader("Content-Range", `bytes */${info.size}`);
		response.writeHead(STATUS_OF[selection.kind]).end();
		return;
	}
	const { start, end } = selection.kind === "part" ? selection : { start: 0, end: info.size - 1 };
	if (selection.kind === "part") response.setHeader("Content-Range", `bytes ${start}-${end}/${info.size}`);
	response.statusCode = selection.kind === "part" ? 206 : 200;
	// Files of /proc have a size of 0 and content all the same, so only a size that is known is promised.
	const sized = info.size > 0 || !path.startsWith("/proc/");
	if (encoding === "gzip") response.setHeader("Content-Encoding", "gzip");
	else if (sized) response.setHeader("Content-Length", end - start + 1);
	if (request.method === "HEAD" || (sized && info.size === 0 && encoding === "identity")) {
		response.end();
		return;
	}
	// A file that grows meanwhile must not exceed the length that was promised.
	const content = createReadStream(path, sized ? { start, end: Math.max(end, 0), highWaterMark: 256 * 1024 } : {});
	if (encoding === "gzip") await pipeline(content, createGzip({ level: 1 }), response);
	else await pipeline(content, response);
}

function disposition(name: string): string {
	const ascii = name.replace(/[^\x20-\x7e]|["\\]/g, "_");
	return `inline; filename="${ascii}"; filename*=UTF-8''${encodeURIComponent(name)}`;
}
