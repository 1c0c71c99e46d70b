import type { IncomingMessage, ServerResponse } from "node:http";
import { newId } from "@dormice/protocol";
import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import Fastify, {
	type FastifyBaseLogger,
	type FastifyInstance,
	type FastifySchema,
	type RawServerDefault,
} from "fastify";
import type { Access } from "../identity/role.ts";
import { guard } from "./access.ts";
import { answerError, answerUnknownRoute } from "./errors.ts";
import { health } from "./health.ts";
import { keyRoutes } from "./keys.ts";
import { Routes } from "./known-routes.ts";
import { notImplemented } from "./not-implemented.ts";
import type { Platform } from "./platform.ts";
import { sandboxRoutes } from "./sandboxes/routes.ts";
import { snapshotRoutes } from "./snapshots/snapshots.ts";
import { teamRoutes } from "./teams.ts";
import { templateRoutes } from "./templates/routes.ts";
import { usageRoutes } from "./usage.ts";
import { checkTexts, compileSchema } from "./validation.ts";

/** Fastify with our schemas' types. */
export type App = FastifyInstance<
	RawServerDefault,
	IncomingMessage,
	ServerResponse,
	FastifyBaseLogger,
	TypeBoxTypeProvider
>;

const BODY_LIMIT_BYTES = 4 << 20;

/** The REST API, without a listener: requests are handed to `app.routing`. */
export async function openApi(platform: Platform): Promise<App> {
	const app: App = Fastify({
		bodyLimit: BODY_LIMIT_BYTES,
		genReqId: () => newId("template"),
		frameworkErrors: answerError(platform.host.log),
		routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512 },
	}).withTypeProvider<TypeBoxTypeProvider>();
	app.setValidatorCompiler(compileSchema);
	// Handlers answer with typed plain data: what they give is what goes out.
	app.setSerializerCompiler(() => JSON.stringify);
	app.setErrorHandler(answerError(platform.host.log));
	app.setNotFoundHandler(answerUnknownRoute(new Routes(app)));
	acceptAnyJson(app);
	allowBrowsers(app);

	await app.register(swagger, {
		openapi: {
			openapi: "3.1.0",
			info: { title: "Dormice", version: "0.1.0", description: "Sandboxes for AI agents, in E2B's words." },
			components: { securitySchemes: { key: { type: "apiKey", in: "header", name: "X-API-Key" } } },
			security: [{ key: [] }],
		},
		transform: ({ schema, url, route }) => ({ schema: withAccess(schema, route.config?.access), url }),
	});
	health(app, platform);
	app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());

	await app.register(async (guarded: App) => {
		guard(guarded, platform.identity);
		sandboxRoutes(guarded, platform);
		snapshotRoutes(guarded, platform);
		templateRoutes(guarded, platform);
		teamRoutes(guarded, platform);
		keyRoutes(guarded, platform);
		usageRoutes(guarded, platform);
		notImplemented(guarded);
	});
	await app.ready();
	return app;
}

/** The document says of each operation whose key it asks for. */
function withAccess(schema: FastifySchema, access: Access | undefined): FastifySchema {
	return access === undefined ? schema : Object.assign({}, schema, { "x-dormice-access": access });
}

/** Clients leave out a body, send an empty one, or forget its type: all mean an empty object. Text is text everywhere. */
function acceptAnyJson(app: App): void {
	const parse = app.getDefaultJsonParser("error", "error");
	app.removeAllContentTypeParsers();
	app.addContentTypeParser("*", { parseAs: "string" }, (request, body, done) => {
		if (String(body).trim() === "") done(null, {});
		else void parse(request, String(body), done);
	});
	app.addHook("preValidation", async (request) => {
		request.body ??= {};
		checkTexts(request);
	});
}

const EXPOSED = "X-Next-Token, X-Total-Running, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After";

/** Any page may call the API: it needs a key, and a key is never sent by itself. */
function allowBrowsers(app: App): void {
	app.addHook("onRequest", async (request, reply) => {
		reply.header("access-control-allow-origin", "*").header("access-control-expose-headers", EXPOSED);
		if (request.method !== "OPTIONS") return;
		return reply
			.header("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
			.header("access-control-allow-headers", request.headers["access-control-request-headers"] ?? "*")
			.header("access-control-max-age", "86400")
			.code(204)
			.send();
	});
}
