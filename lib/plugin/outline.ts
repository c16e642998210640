// What a schema says of the shape of its input: which keys there are, and which of them are secret.
// Read from the JSON Schema that a Standard Schema of 1.1 gives, as far as options need it.
import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';
import { isPlainObject } from './clone-options.js';

type Node = Readonly<Record<PropertyKey, unknown>>;

/** Schemas that hold together, references and combinations resolved. */
type Way = readonly Node[];

const ANYTHING: Node = {};
const NOTHING: Node = { enum: [] };

/** A schema may be a boolean. */
function nodeOf(value: unknown): Node | undefined {
  if (typeof value === 'boolean') return value ? ANYTHING : NOTHING;
  return isPlainObject(value) ? value : undefined;
}

function nodesOf(value: unknown): Node[] {
  return Array.isArray(value) ? value.map(nodeOf).filter((node) => node !== undefined) : [];
}

/** Follows a JSON pointer within the document: `#`, `#/$defs/sink`. */
function lookUp(root: Node, reference: string): Node {
  const keys = reference.replace(/^#\/?/, '').split('/').filter(Boolean);
  let at: unknown = reference.startsWith('#') ? root : undefined;
  for (const key of keys) {
    const name = decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
    at = typeof at === 'object' && at !== null && Object.hasOwn(at, name) ? Reflect.get(at, name) : undefined;
  }
  return nodeOf(at) ?? ANYTHING;
}

/** The ways in which a value may satisfy `node`: one for each choice among `anyOf` and `oneOf`. */
function waysOf(root: Node, node: Node, trail: readonly Node[] = []): readonly Way[] {
  // A schema that refers to itself at the same place says nothing new the second time.
  if (trail.includes(node)) return [];
  const inner = (part: Node) => waysOf(root, part, [...trail, node]);
  const parts: (readonly Way[])[] = [[[node]], ...nodesOf(node.allOf).map(inner)];
  if (typeof node.$ref === 'string') parts.push(inner(lookUp(root, node.$ref)));
  for (const choices of [node.anyOf, node.oneOf]) parts.push(nodesOf(choices).flatMap(inner));
  return joinWays(parts);
}

/** Every combination of one way of each part. */
function joinWays(parts: readonly (readonly Way[])[]): readonly Way[] {
  const said = parts.filter((ways) => ways.length > 0);
  return said.reduce<readonly Way[]>((left, right) => left.flatMap((a) => right.map((b) => [...a, ...b])), [[]]);
}

function typeFits(type: unknown, value: unknown): boolean {
  if (Array.isArray(type)) return type.some((one) => typeFits(one, value));
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (type === 'null') return value === null;
  if (type === 'integer') return typeof value === 'number';
  return type === undefined || typeof value === type;
}

function constantFits(node: Node, value: unknown): boolean {
  if ('const' in node && node.const !== value) return false;
  return !Array.isArray(node.enum) || node.enum.includes(value);
}

/** Whether `value` is of this schema's sort: of its type, and with its constants, which tell variants apart. */
function sortFits(node: Node, value: unknown): boolean {
  if (!typeFits(node.type, value) || !constantFits(node, value)) return false;
  if (!isPlainObject(value) || !isPlainObject(node.properties)) return true;
  return Object.entries(node.properties).every(
    ([key, member]) => !Object.hasOwn(value, key) || !isPlainObject(member) || constantFits(member, value[key]),
  );
}

const KEYWORDS_OF_KEYS = ['properties', 'patternProperties', 'additionalProperties', 'unevaluatedProperties'];

function describesKeys(way: Way): boolean {
  return way.some((node) => KEYWORDS_OF_KEYS.some((keyword) => keyword in node));
}

function describesElements(way: Way): boolean {
  return way.some((node) => 'items' in node || 'prefixItems' in node);
}

/** What one schema says of the member at `key`; nothing where it does not know it. */
function memberNodes(node: Node, key: string): Node[] {
  if (isPlainObject(node.properties) && Object.hasOwn(node.properties, key)) return nodesOf([node.properties[key]]);
  const patterns = isPlainObject(node.patternProperties) ? Object.entries(node.patternProperties) : [];
  const matching = patterns.filter(([pattern]) => new RegExp(pattern, 'u').test(key)).map(([, member]) => member);
  if (matching.length > 0) return nodesOf(matching);
  return nodesOf([node.additionalProperties, node.unevaluatedProperties]).filter((member) => member !== NOTHING);
}

function elementNodes(node: Node, index: number): Node[] {
  const leading: unknown = node.prefixItems ?? node.items;
  if (Array.isArray(leading) && index < leading.length) return nodesOf([leading[index]]);
  return nodesOf([node.items]);
}

/** The shape of a value at one place of an options object. */
export class Outline {
  readonly #root: Node;
  readonly #ways: readonly Way[];

  private constructor(root: Node, ways: readonly Way[]) {
    this.#root = root;
    this.#ways = ways;
  }

  /** `undefined` for a schema that gives no JSON Schema. */
  static of(schema: StandardSchemaV1): Outline | undefined {
    const root = jsonSchemaOf(schema);
    return root && new Outline(root, waysOf(root, root));
  }

  /** Whether a value here is to be kept out of logs and messages. */
  get secret(): boolean {
    return this.#ways.some((way) => way.some((node) => node.writeOnly === true));
  }

  /** Whether the schema says which keys there are, whichever variant it is. */
  get hasKeys(): boolean {
    return this.#ways.every(describesKeys);
  }

  /** Whether the schema may leave it open what is inside, so that there is nothing to look for. */
  get open(): boolean {
    return this.#ways.some((way) => !describesKeys(way) && !describesElements(way));
  }

  /** The keys that have a name in the schema. */
  get keys(): readonly string[] {
    const named = this.#ways
      .flat()
      .flatMap((node) => (isPlainObject(node.properties) ? Object.keys(node.properties) : []));
    return [...new Set(named)];
  }

  /** The variants that `value` may be meant as, each an outline; all of them where it is like none. */
  variants(value: unknown): readonly Outline[] {
    const fitting = this.#ways.filter((way) => way.every((node) => sortFits(node, value)));
    return (fitting.length > 0 ? fitting : this.#ways).map((way) => new Outline(this.#root, [way]));
  }

  /** The outline of a member; `undefined` where the schema does not know its key. */
  member(key: PropertyKey): Outline | undefined {
    const name = typeof key === 'symbol' ? undefined : String(key);
    if (name === undefined || name === '__proto__') return undefined;
    const ways = this.#ways.flatMap((way) => {
      const nodes = way.flatMap((node) => memberNodes(node, name));
      return nodes.length === 0 && describesKeys(way) ? [] : this.#join(nodes);
    });
    return ways.length === 0 ? undefined : new Outline(this.#root, ways);
  }

  /** The outline of an array's element. */
  element(index: number): Outline {
    const ways = this.#ways.flatMap((way) => this.#join(way.flatMap((node) => elementNodes(node, index))));
    return new Outline(this.#root, ways);
  }

  #join(nodes: readonly Node[]): readonly Way[] {
    return joinWays(nodes.map((node) => waysOf(this.#root, node)));
  }
}

function jsonSchemaOf(schema: StandardSchemaV1): Node | undefined {
  const { jsonSchema } = schema['~standard'] as Partial<StandardJSONSchemaV1.Props>;
  for (const target of ['draft-2020-12', 'draft-07']) {
    try {
      // zod stops at what JSON cannot say (a function, an instance) unless told to let it be anything.
      const document = jsonSchema?.input({ target, libraryOptions: { unrepresentable: 'any' } });
      if (isPlainObject(document)) return document;
    } catch {
      // The library cannot say this schema, or not for this target: the same as one that has no JSON Schema.
    }
  }
  return undefined;
}
