import type { IncomingMessage, ServerResponse } from "node:http";

const EXPOSED = [
	"Grpc-Status",
	"Grpc-Message",
	"Grpc-Status-Details-Bin",
	"Connect-Content-Encoding",
	"Connect-Accept-Encoding",
	"Location",
	"Cache-Control",
	"X-Content-Type-Options",
].join(", ");

/** Lets pages of any origin call; what protects a sandbox is its token. True when the request was only to ask that. */
export function allowCrossOrigin(request: IncomingMessage, response: ServerResponse): boolean {
	response.setHeader("Access-Control-Allow-Origin", "*");
	response.setHeader("Access-Control-Expose-Headers", EXPOSED);
	if (request.method !== "OPTIONS") return false;
	response.writeHead(204, {
		"Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
		"Access-Control-Allow-Headers": request.headers["access-control-request-headers"] ?? "*",
		"Access-Control-Max-Age": "7200",
	});
	response.end();
	return true;
}
