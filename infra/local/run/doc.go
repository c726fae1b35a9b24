// Package run starts Steward on one computer: the shipped binaries, and every system they talk to.
//
//	browser ──▶ chat port ─ function URL ─▶ chat ──▶ aws port ─ InvokeAgent ─▶ okta-groups, ciba ──▶ auth0, okta, fga ports
//	                                                    │                        │
//	                                                    └── DynamoDB, SQS, … ◀───┴── approval-worker ◀── SQS
//
// infra/fleet says what the functions are given and what they may do; this package finds the values and starts what stands behind
// them. Each function signs with an access key of its own, and package iam refuses what its role does not have. Nothing
// leaves the computer and nothing is kept: all of it is gone when the run ends, and every secret is drawn anew.
//
// It says nothing about who may reach a port (unsigned calls of AWS are let in, as are those with other keys), nothing about memory
// or CPU limits, and keeps the deployment's alarms, keys and networks out of the picture. infra/stack is their place.
package run
