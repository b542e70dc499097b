// Package group is the consumer group coordinator: Kafka's classic group protocol (KIP-62, KIP-345, KIP-394), its consumer
// group protocol (KIP-848), and the offsets that groups commit. A group has members of one protocol at a time; without members
// it is open to both.
//
// A Machine is stepped: one Input and the time go in, Effects come out. An Input that must wait (a join until the others
// have joined, a sync until the leader has assigned) gets its Reply as an effect of a later step, under the Token that it
// came with. Nothing in here waits, reads a clock or draws a random number: a test is a text of inputs and their effects.
//
// A classic group goes Empty → PreparingRebalance (members join) → CompletingRebalance (the leader assigns) → Stable, and back to
// PreparingRebalance whenever a member comes, goes, or changes what it wants. Each completed join is a new generation;
// what a member says under an older one is refused.
//
//	Empty ──join──▶ PreparingRebalance ──all joined, or time is up──▶ CompletingRebalance ──leader's sync──▶ Stable
//	  ▲                 ▲   │ nobody is left                               │ join, leave, expiry                │
//	  └─────────────────┼───┘                                              │                                    │
//	                    └──────────────────────────────────────────────────┴────────────────────────────────────┘
//
// In a consumer group the server assigns (assign.go) and each member says all by heartbeats. Whatever changes who should have
// what, a member or the topics, makes a new epoch with a target for every member. Each is brought to its target by itself
// (reconcile.go): asked to give up what it shall not have, which it confirms by what it says that it owns, then given what
// others have given up, and so moved to the group's epoch. A member that speaks under another epoch than its own is fenced.
//
//	          epoch below the group's                   owns none of it any more
//	Stable ───────────────────────────▶ revoking ──────────────────────────────────▶ at the group's epoch ──▶ Stable
//	                                        │ rebalance timeout                        │        ▲
//	                                        ▼                                          ▼        │ others have freed it
//	                                       out                                        waiting ──┘
//
// A commit of offsets is a Store effect: the driver makes the records durable and says so with Stored; only then are the
// offsets seen by Offset and acknowledged. Load replays them at start.
//
// The members are not stored: after a restart they are unknown, and rejoin. A member id is never given twice, so that
// nothing said under one from before the restart is taken for a new member's. Consumers make their ids themselves and keep them:
// what they had said before the restart ended with its connection.
//
// The package deliberately knows no log, no wire format and no connection: log/kafka drives it.
package group
