// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What mongosh runs. It hands over the one thing that only it has, and everything else is plain Node.js.

disableTelemetry();
new (require(`${__dirname}/autopilot-loop.js`).Autopilot)({
  connect: (...login) => connect(...login),
  name: process.env.AUTOPILOT_NAME,
  namespace: process.env.AUTOPILOT_NAMESPACE,
  pod: process.env.AUTOPILOT_POD,
  port: Number(process.env.AUTOPILOT_MONGODB_PORT),
  peerPort: Number(process.env.AUTOPILOT_PORT),
  domain: process.env.AUTOPILOT_DOMAIN,
  service: process.env.AUTOPILOT_SERVICE,
  replicaSet: process.env.AUTOPILOT_REPLICA_SET,
}).run().catch((error) => {
  console.log(`the autopilot ends: ${error.stack}`);
  process.exit(1);
});
