// Reads the frames of Flet's client, without changing them. The names are those of its protocol.

/** Numbers of the actions in Flet's protocol. */
export const REGISTER = 1, EVENT = 3;

/** The first byte of a frame of Flet's, and of ours (script.py: HEAD). */
const FLET = 0, HEAD = [1, 0xff, 0xff, 0xff, 0xff];

/** Returns [action, body] of a frame of Flet's; null for other frames. */
export function read(packet) {
  const bytes = new Uint8Array(packet);
  if (bytes[0] !== FLET) return null;
  const [action, body] = new MessagePack(bytes, 1).value();
  return [action, body];
}

/** Returns the app's message in a frame of ours; null for other frames. */
export function heard(packet) {
  const bytes = new Uint8Array(packet);
  if (!HEAD.every((byte, at) => bytes[at] === byte)) return null;
  return JSON.parse(new TextDecoder().decode(bytes.subarray(HEAD.length)));
}

/** Returns a frame of ours. */
export function say(said) {
  // A lone surrogate, as of an emoji that was cut in half, is not valid text.
  const whole = (_, value) =>
    typeof value === "string" ? value.replace(/\p{Surrogate}/gu, "\ufffd") : value;
  const words = new TextEncoder().encode(JSON.stringify(said, whole));
  const packet = new Uint8Array(HEAD.length + words.length);
  packet.set(HEAD);
  packet.set(words, HEAD.length);
  return packet;
}

/** Reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md). */
class MessagePack {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  value() {
    const type = this.view.getUint8(this.at++);
    if (type < 0x80) return type;
    if (type < 0x90) return this.map(type & 0x0f);
    if (type < 0xa0) return this.list(type & 0x0f);
    if (type < 0xc0) return this.text(type & 0x1f);
    if (type >= 0xe0) return type - 0x100;
    switch (type) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.raw(this.size(type - 0xc4));
      case 0xc7: case 0xc8: case 0xc9: return this.raw(this.size(type - 0xc7) + 1);
      case 0xca: return this.number("getFloat32", 4);
      case 0xcb: return this.number("getFloat64", 8);
      case 0xcc: case 0xcd: case 0xce: return this.size(type - 0xcc);
      case 0xcf: return Number(this.number("getBigUint64", 8));
      case 0xd0: return this.number("getInt8", 1);
      case 0xd1: return this.number("getInt16", 2);
      case 0xd2: return this.number("getInt32", 4);
      case 0xd3: return Number(this.number("getBigInt64", 8));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.raw((1 << (type - 0xd4)) + 1);
      case 0xd9: case 0xda: case 0xdb: return this.text(this.size(type - 0xd9));
      case 0xdc: case 0xdd: return this.list(this.size(type - 0xdb));
      case 0xde: case 0xdf: return this.map(this.size(type - 0xdd));
      default: throw new TypeError(`MessagePack has no type ${type}`);
    }
  }

  /** A number of 1, 2 or 4 bytes, by the exponent. */
  size(exponent) {
    return this.number(["getUint8", "getUint16", "getUint32"][exponent], 1 << exponent);
  }

  number(method, width) {
    this.at += width;
    return this.view[method](this.at - width);
  }

  raw(size) {
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  text(size) {
    return new TextDecoder().decode(this.raw(size));
  }

  list(size) {
    return Array.from({ length: size }, () => this.value());
  }

  map(size) {
    const found = {};
    for (let n = 0; n < size; n++) {
      const key = this.value();
      found[key] = this.value();
    }
    return found;
  }
}
