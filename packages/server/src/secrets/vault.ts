import {
	createCipheriv,
	createDecipheriv,
	createHash,
	createSecretKey,
	type KeyObject,
	randomBytes,
} from "node:crypto";
import { DormiceError } from "@dormice/protocol";

declare const sealed: unique symbol;
/** Text as the database holds it. The compiler tells it from text that anybody may read. */
export type Sealed = string & { readonly [sealed]: true };

/** Where a sealed text lies. It opens there and nowhere else. */
export interface Place {
	table: string;
	column: string;
	/** The row's primary key. */
	row: string;
}

const VERSION = "v1";
const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY = /^[0-9a-f]{64}$/;

/** Seals what the database must not tell whoever has a copy of it: AES-256-GCM, with a key that is not in the database. */
export class Vault {
	/** Names the key without telling it. */
	readonly keyId: string;
	readonly #key: KeyObject;

	/** The key as 64 hexadecimal digits. Throws `invalid_argument`, without a word of what it was given. */
	constructor(key: string) {
		if (!KEY.test(key)) {
			throw new DormiceError("invalid_argument", "A key for secrets is 64 hexadecimal digits: `openssl rand -hex 32`.");
		}
		const bytes = Buffer.from(key, "hex");
		this.#key = createSecretKey(bytes);
		this.keyId = createHash("sha256").update("dormice key id\0").update(bytes).digest("hex").slice(0, 16);
	}

	/** `<version>.<key id>.<nonce, tag and ciphertext as base64url>`. */
	seal(text: string, place: Place): Sealed {
		const nonce = randomBytes(NONCE_BYTES);
		const cipher = createCipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES });
		cipher.setAAD(boundTo(this.keyId, place));
		const ciphertext = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
		const body = Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]).toString("base64url");
		return `${VERSION}.${this.keyId}.${body}` as Sealed;
	}

	/** Throws `not_set_up` for what another key sealed, `internal` for what is damaged or lies in another place. */
	open(text: Sealed, place: Place): string {
		const [version, keyId = "", body = ""] = text.split(".");
		const where = `${place.table}.${place.column}`;
		if (version === VERSION && keyId !== this.keyId) {
			throw new DormiceError(
				"not_set_up",
				`A value of ${where} is sealed with key ${keyId}, and this server has ${this.keyId}.`,
			);
		}
		try {
			const bytes = Buffer.from(body, "base64url");
			const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, NONCE_BYTES), {
				authTagLength: TAG_BYTES,
			});
			decipher.setAAD(boundTo(keyId, place, version));
			decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
			return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
		} catch (cause) {
			throw new DormiceError(
				"internal",
				`${where} of ${place.row} is not what was sealed there: restore it from a backup.`,
				{ cause },
			);
		}
	}
}

/** As JSON, so that no two places read the same. */
function boundTo(keyId: string, { table, column, row }: Place, version = VERSION): Buffer {
	return Buffer.from(JSON.stringify(["dormice", version, keyId, table, column, row]));
}
