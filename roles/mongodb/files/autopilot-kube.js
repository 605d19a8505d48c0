// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The autopilot's way to the API server: its one StatefulSet, and the Lease that keeps changes of it apart.

'use strict';

const crypto = require('crypto');
const fs = require('fs');
const https = require('https');

const TOKEN = '/run/autopilot-token';
const SECONDS = 1000;
const TIMEOUT = 5 * SECONDS;
const ANNOTATION = 'stateful.kube/mongodb-autopilot';
const SET_ID = 'stateful.kube/mongodb-replica-set-id';
// Seconds after which a Lease that nobody renewed is free, as for every other holder.
const DURATION = 30;

class Kube {
  constructor(name, namespace) {
    Object.assign(this, { name, namespace });
    this.path = `/apis/apps/v1/namespaces/${namespace}/statefulsets/${name}`;
  }

  // The answer of the API server: {status, body}. Throws where there is none.
  request(method, path, body, type = 'application/json') {
    const data = body ? JSON.stringify(body) : '';
    return new Promise((resolve, reject) => {
      const request = https.request({
        host: process.env.KUBERNETES_SERVICE_HOST,
        port: process.env.KUBERNETES_SERVICE_PORT,
        method,
        path,
        ca: fs.readFileSync(`${TOKEN}/ca.crt`),
        headers: {
          Authorization: `Bearer ${fs.readFileSync(`${TOKEN}/token`, 'utf8').trim()}`,
          Accept: 'application/json',
          // Node.js does not count the body of a DELETE by itself.
          ...(body ? { 'Content-Type': type, 'Content-Length': Buffer.byteLength(data) } : {}),
        },
        timeout: TIMEOUT,
      }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => { text += part; });
        response.on('error', reject);
        response.on('end', () => {
          try {
            resolve({ status: response.statusCode, body: JSON.parse(text || '{}') });
          } catch (error) {
            reject(new Error(`the API server answers ${response.statusCode}, and no JSON: ${text.slice(0, 100)}`));
          }
        });
      });
      request.on('timeout', () => request.destroy(new Error('the API server gives no answer')));
      request.on('error', reject);
      request.end(data);
    });
  }

  // What counts of the StatefulSet, or null where there is none, or one that is being deleted.
  async statefulSet() {
    const { status, body } = await this.request('GET', this.path);
    if (status === 404) return null;
    // Its rights go too when a whole namespace is deleted.
    if (status === 401 || status === 403) throw Object.assign(new Error(`it may not look: ${body.message}`), { final: true });
    if (status !== 200) throw new Error(`the API server answers ${status}: ${body.message}`);
    const { metadata, spec } = body;
    if (metadata.deletionTimestamp) return null;
    const annotations = metadata.annotations || {};
    return {
      uid: metadata.uid,
      resource_version: metadata.resourceVersion,
      replicas: spec.replicas === undefined ? 1 : spec.replicas,
      service: spec.serviceName,
      parallel: spec.podManagementPolicy === 'Parallel',
      recorded: annotations[SET_ID] || '',
      declared: annotations[ANNOTATION] ? JSON.parse(annotations[ANNOTATION]) : null,
    };
  }

  // By the subresource `status`, which takes annotations and never the specification: whoever steals this token cannot
  // change what runs in the pods.
  async record(stateful_set, set_id) {
    const { uid, resource_version: resourceVersion } = stateful_set;
    const patch = { metadata: { uid, resourceVersion, annotations: { [SET_ID]: set_id } } };
    const { status, body } = await this.request('PATCH', `${this.path}/status`, patch, 'application/merge-patch+json');
    if (status !== 200) throw new Error(`the set id cannot be recorded: ${status} ${body.message}`);
    if ((body.metadata.annotations || {})[SET_ID] !== set_id) {
      throw new Error('the API server did not take the annotation with the set id; the next run of the playbook records it');
    }
  }
}

// The Lease stateful-kube-NAME: made while it is held, taken over when it stood still for its duration on our own clock.
class Lease {
  constructor(kube, pod) {
    this.kube = kube;
    this.all = `/apis/coordination.k8s.io/v1/namespaces/${kube.namespace}/leases`;
    this.path = `${this.all}/stateful-kube-${kube.name}`;
    this.identity = `autopilot in ${pod} ${crypto.randomBytes(4).toString('hex')}`;
    this.held = null;
    this.watched = { version: '', since: 0 };
  }

  // Empty where it is ours now, else who holds it.
  async take() {
    this.taken = monotonic();
    const made = await this.kube.request('POST', this.all, this.wanted(null));
    if (made.status === 201) return this.hold(made.body);
    if (made.status !== 409) throw new Error(`the Lease cannot be made: ${made.status} ${made.body.message}`);
    const there = await this.kube.request('GET', this.path);
    if (there.status !== 200) return 'it was given back just now';
    const { holderIdentity: holder, leaseDurationSeconds: duration } = there.body.spec;
    if (there.body.metadata.resourceVersion !== this.watched.version) {
      this.watched = { version: there.body.metadata.resourceVersion, since: monotonic() };
    }
    const stood = monotonic() - this.watched.since;
    if (holder && holder !== this.identity && stood <= (duration || DURATION)) return holder;
    this.taken = monotonic();
    const over = await this.kube.request('PUT', this.path, this.wanted(there.body));
    return over.status === 200 ? this.hold(over.body) : 'somebody who was quicker';
  }

  hold(lease) {
    this.held = lease;
    return '';
  }

  // Nothing is begun in the second half of its duration: no change takes longer than the rest.
  fresh() { return Boolean(this.held) && monotonic() - this.taken < DURATION / 3; }

  async giveBack() {
    const lease = this.held;
    this.held = null;
    if (!lease) return;
    const { uid, resourceVersion } = lease.metadata;
    await this.kube.request('DELETE', this.path, {
      apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion },
    });
  }

  wanted(there) {
    const now = `${new Date().toISOString().slice(0, -1)}000Z`;
    const { name, namespace } = this.kube;
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: `stateful-kube-${name}`,
        namespace,
        labels: { 'app.kubernetes.io/instance': name, 'app.kubernetes.io/managed-by': 'stateful.kube' },
        ...(there ? { resourceVersion: there.metadata.resourceVersion } : {}),
      },
      spec: {
        holderIdentity: this.identity,
        leaseDurationSeconds: DURATION,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: there ? (there.spec.leaseTransitions || 0) + 1 : 0,
      },
    };
  }
}

function monotonic() { return Number(process.hrtime.bigint()) / 1e9; }

module.exports = { Kube, Lease, monotonic };
