// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// How the autopilots of one set ask each other what their mongod says: HTTP between the pods, on a port of its own. Only
// who knows the root password gets an answer, and an answer counts only if it is signed with it. The password itself never
// travels.

'use strict';

const crypto = require('crypto');
const http = require('http');
const { ROOT, readOr } = require('./autopilot-mongod.js');
const { UNREACHABLE } = require('./autopilot-plan.js');

const TIMEOUT = 4000;
const MOST = 1 << 20;

function sign(text) {
  return crypto.createHmac('sha256', readOr(`${ROOT}/password`)).update(`stateful.kube autopilot ${text}`).digest('hex');
}

function fits(text, signature) {
  const [wanted, found] = [Buffer.from(sign(text)), Buffer.from(String(signature))];
  return wanted.length === found.length && crypto.timingSafeEqual(wanted, found);
}

// What whoever asks may want besides: nothing; that the primary looks at once; that this member stands for election, or
// leaves that to another one for a while.
const NOTHING = 'nothing';
const HURRY = 'hurry';
const RISE = 'rise';
const STAND_BACK = 'stand back';

// `tell` gives the answer of this pod; `wishes` has what is done where a peer wants more than that.
function serve(port, tell, wishes) {
  const server = http.createServer(async (request, response) => {
    const { nonce, wish, signature } = request.headers;
    if (!nonce || !fits(`ask ${nonce} ${wish}`, signature)) {
      response.writeHead(403).end();
      return;
    }
    try {
      if (wishes[wish]) await wishes[wish]();
      const text = JSON.stringify(await tell());
      response.writeHead(200, { signature: sign(`answer ${nonce} ${text}`) }).end(text);
    } catch (error) {
      response.writeHead(503).end();
    }
  });
  server.listen(port);
}

// What the autopilot of another pod tells: {answer, ending}, or null where there is no such pod.
function ask(host, port, wish = NOTHING) {
  const nonce = crypto.randomBytes(16).toString('hex');
  const silence = (why) => ({ answer: { kind: UNREACHABLE, detail: `its autopilot gives no answer (${why})`, statuses: [] } });
  return new Promise((resolve) => {
    const headers = { nonce, wish, signature: sign(`ask ${nonce} ${wish}`) };
    const request = http.get({ host, port, headers, timeout: TIMEOUT, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => {
        text += part;
        if (text.length > MOST) response.destroy();
      });
      response.on('error', (error) => resolve(silence(error.message)));
      response.on('end', () => {
        if (response.statusCode !== 200) return resolve(silence(`status ${response.statusCode}`));
        if (!fits(`answer ${nonce} ${text}`, response.headers.signature)) return resolve(silence('it is not signed'));
        return resolve(JSON.parse(text));
      });
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error) => resolve(error.code === 'ENOTFOUND' ? null : silence(error.message)));
  });
}

module.exports = { ask, serve, NOTHING, HURRY, RISE, STAND_BACK };
