// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The mongod of this pod: what it says of itself, and the changes that only the primary can make. Every connection of the
// autopilot to a mongod is made here, and leads to this pod alone: where mongod wants TLS, `URI` is the place for it.

'use strict';

const fs = require('fs');
const { monotonic } = require('./autopilot-kube.js');
const { UNREACHABLE, UNINITIALISED, NO_USER, REFUSED, REMOVED, STANDALONE, MEMBER } = require('./autopilot-plan.js');

const ROOT = '/run/autopilot-root';
// Passwords that a member may take while the root password is being changed.
const PASSWORDS = ['password', 'password-next', 'password-previous'];
const URI = (port) => `mongodb://127.0.0.1:${port}/admin?directConnection=true&authSource=admin&maxPoolSize=2`
  + '&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000&socketTimeoutMS=15000&appName=stateful.kube-autopilot';

// Codes of the server's errors.
const UNAUTHORIZED = 13;
const AUTHENTICATION_FAILED = 18;
const ALREADY_INITIALIZED = 23;
const NO_REPLICATION = 76;
const INVALID_CONFIG = 93;
const NOT_YET_INITIALIZED = 94;
const USER_EXISTS = 51003;

// Seconds. A mongod on a used disk says "not initialised" too, until it has read its configuration.
const BELIEVED_AFTER = 10;
const STAY_OUT = 60;
const CATCH_UP = 10;
const LOOK = 8;
const MAJORITY = 10000; // milliseconds

class Mongod {
  // `connect` is mongosh's.
  constructor(connect, port, host) {
    Object.assign(this, { connect, port, host });
    this.databases = {};
    this.process = '';
    this.since = 0;
    this.passwords = [];
  }

  // Its answer, in the words of the planner. Silence is an answer too.
  async look() {
    try {
      return { host: this.host, ...(await within(LOOK, this.answer())) };
    } catch (error) {
      this.drop();
      this.process = '';
      return { host: this.host, kind: UNREACHABLE, detail: `no answer (${error.message})`, statuses: [] };
    }
  }

  async answer() {
    const read = PASSWORDS.map((key) => readOr(`${ROOT}/${key}`)).filter(Boolean);
    if (read.join('\n') !== this.passwords.join('\n')) this.drop('root');
    this.passwords = read;
    const found = (await this.loggedIn()) || (await this.asNobody());
    return found || { kind: REFUSED, detail: 'it does not let in the root user', statuses: [] };
  }

  async loggedIn() {
    let status;
    try {
      const admin = await this.admin();
      if (!admin) return null;
      status = await admin.adminCommand({ replSetGetStatus: 1 });
    } catch (error) {
      if ([AUTHENTICATION_FAILED, UNAUTHORIZED].includes(error.code)) { this.drop('root'); return null; }
      if (error.code === INVALID_CONFIG) {
        return { kind: REMOVED, detail: error.message, config: await this.config().catch(() => null), statuses: [] };
      }
      return this.withoutStatus(error);
    }
    return answerOf(MEMBER, status, await this.config(), await this.writable(status));
  }

  async asNobody() {
    try {
      const nobody = await this.database('nobody', []);
      const status = await nobody.adminCommand({ replSetGetStatus: 1 });
      return answerOf(NO_USER, status, null, await this.writable(status));
    } catch (error) {
      if (error.code === UNAUTHORIZED) return null;
      return this.withoutStatus(error);
    }
  }

  // The status tells only that a primary was elected.
  async writable(status) {
    if (Number(status.myState) !== 1) return true;
    return Boolean((await (await this.database('nobody', [])).adminCommand({ hello: 1 })).isWritablePrimary);
  }

  async withoutStatus(error) {
    const answer = { detail: error.message, statuses: [] };
    if (error.code === NOT_YET_INITIALIZED) {
      return { ...answer, kind: UNINITIALISED, settled: await this.saidLongEnough() };
    }
    if (error.code === INVALID_CONFIG) return { ...answer, kind: REMOVED };
    if (error.code === NO_REPLICATION) return { ...answer, kind: STANDALONE };
    throw error;
  }

  async saidLongEnough() {
    const process = await this.processId();
    if (!process || process !== this.process) Object.assign(this, { process, since: monotonic() });
    return monotonic() - this.since >= BELIEVED_AFTER;
  }

  // Names one run of mongod; empty where there is none.
  async processId() {
    const hello = await (await this.database('nobody', [])).adminCommand({ hello: 1 });
    return String((hello.topologyVersion || {}).processId || '');
  }

  async config() {
    return configOf((await (await this.admin()).adminCommand({ replSetGetConfig: 1 })).config);
  }

  // Logged in as root, or null where no password is accepted.
  async admin() {
    if (this.databases.root) return this.databases.root;
    for (const password of this.passwords) {
      try {
        return await this.database('root', [readOr(`${ROOT}/username`), password]);
      } catch (error) {
        if (error.code !== AUTHENTICATION_FAILED) throw error;
      }
    }
    return null;
  }

  async database(who, login) {
    if (!this.databases[who]) this.databases[who] = await this.connect(URI(this.port), ...login);
    return this.databases[who];
  }

  drop(...names) {
    for (const who of names.length ? names : Object.keys(this.databases)) {
      const database = this.databases[who];
      delete this.databases[who];
      if (database) Promise.resolve().then(() => database.getMongo().close()).catch(() => {});
    }
  }

  // Changes

  async createUser() {
    const created = (await this.database('nobody', [])).adminCommand({
      createUser: readOr(`${ROOT}/username`),
      pwd: this.passwords[0],
      roles: ['root'],
      writeConcern: { w: 'majority', wtimeout: MAJORITY },
    });
    await tolerate(USER_EXISTS, created);
  }

  // One reconfiguration, without force, from the very configuration that the step was planned on.
  async reconfigure(step) {
    const admin = await this.admin();
    const { config } = await admin.adminCommand({ replSetGetConfig: 1 });
    if (Number(config.version) !== step.version || Number(config.term || 0) !== step.term) {
      throw new Error(`the configuration is of version ${config.version} meanwhile`);
    }
    edit[step.action](config, step);
    config.version = Number(config.version) + 1;
    await admin.adminCommand({ replSetReconfig: config, maxTimeMS: MAJORITY });
  }

  async stepDown() {
    await (await this.admin()).adminCommand({ replSetStepDown: STAY_OUT, secondaryCatchUpPeriodSecs: CATCH_UP });
  }

  // After the primary has stepped down for this member: it need not wait until it misses one.
  async stepUp() {
    // It may have stepped down itself a moment ago.
    await this.standBack(0);
    await (await this.admin()).adminCommand({ replSetStepUp: 1 });
  }

  // For so long this member does not stand for election.
  async standBack(seconds) { await (await this.admin()).adminCommand({ replSetFreeze: seconds }); }
}

const edit = {
  add(config, step) {
    const free = 1 + Math.max(...config.members.map((member) => Number(member._id)));
    config.members.push({ _id: free, host: step.host, ...fieldsOf(step.options) });
  },
  change(config, step) {
    const member = config.members.find((one) => one.host === step.host);
    delete member.slaveDelay;
    Object.assign(member, fieldsOf(step.options));
  },
  remove(config, step) {
    config.members = config.members.filter((member) => member.host !== step.host);
  },
  settings(config, step) {
    config.settings = { ...config.settings, ...Object.fromEntries(step.settings) };
  },
};

function answerOf(kind, status, config, writable) {
  const members = status.members || [];
  const mine = members.find((member) => member.self);
  return {
    kind,
    config,
    state: Number(status.myState) === 1 ? 'PRIMARY' : (mine || {}).stateStr || '',
    set_name: status.set || '',
    statuses: members.map((member) => ({
      host: member.name,
      state: member.stateStr || 'UNKNOWN',
      healthy: Boolean(Number(member.health)),
      optime: member.optimeDate ? member.optimeDate.getTime() / 1000 : 0,
      silent: status.date && member.lastHeartbeat ? (status.date - member.lastHeartbeat) / 1000 : 0,
    })),
    // Servers before 5.0 do not count for us: there every voter of the configuration votes.
    voting: Number(status.votingMembersCount || (config ? config.members.reduce((sum, one) => sum + one.votes, 0) : 0)),
    term: Number(status.term || 0),
    writable,
  };
}

function configOf(document) {
  const { replicaSetId, ...settings } = document.settings || {};
  return {
    set_name: document._id,
    set_id: replicaSetId ? replicaSetId.toHexString() : '',
    version: Number(document.version),
    term: Number(document.term || 0),
    members: document.members.map((member) => ({
      id: Number(member._id),
      host: member.host,
      priority: Number(member.priority === undefined ? 1 : member.priority),
      votes: Number(member.votes === undefined ? 1 : member.votes),
      hidden: Boolean(member.hidden),
      tags: Object.entries(member.tags || {}).sort(([a], [b]) => (a < b ? -1 : 1)),
      secondary_delay_secs: Number(member.secondaryDelaySecs || member.slaveDelay || 0),
      build_indexes: member.buildIndexes !== false,
      arbiter_only: Boolean(member.arbiterOnly),
    })),
    settings: Object.entries(settings).filter(([, value]) => typeof value !== 'object' || 'toNumber' in value)
      .map(([key, value]) => [key, typeof value === 'object' ? value.toNumber() : value]),
  };
}

function fieldsOf(options) {
  return {
    priority: options.priority,
    votes: options.votes,
    hidden: options.hidden,
    tags: Object.fromEntries(options.tags),
    secondaryDelaySecs: options.secondary_delay_secs,
    buildIndexes: options.build_indexes,
  };
}

async function tolerate(code, promise) {
  try {
    await promise;
  } catch (error) {
    // Somebody else was quicker: the next look tells.
    if (![code, UNAUTHORIZED].includes(error.code)) throw error;
  }
}

function within(seconds, promise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function readOr(path, otherwise = '') {
  try { return fs.readFileSync(path, 'utf8'); } catch (error) { return otherwise; }
}

module.exports = { Mongod, ROOT, STAY_OUT, readOr, within };
