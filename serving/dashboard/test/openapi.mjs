// Holds the API's description (standard input) against the schema of the OpenAPI
// version that it names, which must be 3.1.
import { text } from 'node:stream/consumers';
import { Validator } from '@seriousme/openapi-schema-validator';

const document = JSON.parse(await text(process.stdin));
const { valid, errors } = await new Validator().validate(document);
if (!valid || !document.openapi.startsWith('3.1')) {
  console.log(`OpenAPI ${document.openapi}: ${JSON.stringify(errors, null, 1)}`);
  process.exit(1);
}
