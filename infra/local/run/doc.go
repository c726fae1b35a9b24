// Package run is Steward on one computer: the shipped binaries, and around them everything they talk to.
//
//	browser ──▶ chat port ─ function URL ─▶ chat ──▶ aws port ─ InvokeAgent ─▶ okta-groups, ciba ──▶ auth0, okta, fga ports
//	                                                    │                        │
//	                                                    └── DynamoDB, SQS, … ◀───┴── approval-worker ◀── SQS
//
// infra/fleet says what the functions are given; this package finds the values and starts what stands behind them. Nothing
// leaves the computer and nothing is kept: all of it is gone when the run ends, and every secret is drawn anew.
//
// It says nothing about permissions (whoever reaches a port is let in), nothing about memory or CPU limits, and keeps the
// deployment's alarms, keys and networks out of the picture. infra/stack is their place.
package run
