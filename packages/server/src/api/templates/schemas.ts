import { Type } from "typebox";

export const tags = ["templates"];

/** `/templates/:templateID/…`: an id or alias. */
export const TemplateParams = Type.Object({ templateID: Type.String({ minLength: 1, maxLength: 256 }) });
