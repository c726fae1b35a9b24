// Package runtimeapi runs a function's shipped bootstrap as AWS Lambda does: it starts processes, serves the Runtime
// API and answers Invoke.
//
//	caller ── Invoke ──▶ Lambda ── next ──▶ bootstrap      GET  /2018-06-01/runtime/invocation/next
//	                        ▲                  │
//	                        └──── response ────┘           POST /2018-06-01/runtime/invocation/{id}/response | error
//
// An instance is one process with a Runtime API of its own. It lives like this:
//
//	starting ──next──▶ busy ──response──▶ idle ──next──▶ frozen ──invoke──▶ busy …
//	    │                │                  │              │
//	    └─ init failed   │                  └── invoke ────┼─────▶ busy, with its next poll
//	                     │                                 └─ idle too long
//	                     └─ exit, kill, out of time: the caller is told, the next call starts afresh
//
// As on AWS, an instance serves one invocation at a time and another one is started when none is free; a process stands still
// between invocations (SIGSTOP), so that work left behind after an answer does not get done; a function that overruns its
// timeout is killed; a caller that goes away does not stop the function; a buffered answer is at most 6 MB.
//
// It does not limit memory or CPU, and knows no extensions, layers, versions, aliases, client contexts, asynchronous queues or
// throttling: past [Options.MaxInstances] a call waits for a free instance where AWS would answer 429.
//
// Sources: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes", "Lambda execution environment",
// "Response streaming"; github.com/aws/aws-lambda-go v1.55.1, which is the client.
package runtimeapi
