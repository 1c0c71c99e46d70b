import type { IncomingMessage, ServerResponse } from "node:http";
import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import {
	compressionBrotli,
	compressionGzip,
	universalRequestFromNodeRequest,
	universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { log } from "../log.ts";
import { translateErrors } from "./errors.ts";

const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024;

/** Answers a call; undefined when no service has such a path. */
export type RpcHandler = (
	path: string,
) => ((request: IncomingMessage, response: ServerResponse) => Promise<void>) | undefined;

/**
 * The Connect protocol on Node's HTTP. Connect's own adapter prints to stderr when a client leaves early, which here
 * is an everyday thing.
 */
export function connectHandler(routes: (router: ConnectRouter) => void): RpcHandler {
	const router = createConnectRouter({
		grpc: false,
		grpcWeb: false,
		interceptors: [translateErrors],
		acceptCompression: [compressionGzip, compressionBrotli],
		readMaxBytes: LARGEST_MESSAGE_BYTES,
		// The way to the client is the host's own: compressing would only cost time.
		compressMinBytes: LARGEST_MESSAGE_BYTES,
	});
	routes(router);
	const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
	return (path) => {
		const handler = handlers.get(path);
		if (!handler) return undefined;
		return async (request, response) => {
			const answer = await handler(universalRequestFromNodeRequest(request, response, undefined, undefined));
			try {
				await universalResponseToNodeResponse(answer, response);
			} catch (error) {
				log("debug", "a client left before the end", { path, error: String(error) });
				response.destroy();
			}
		};
	};
}
