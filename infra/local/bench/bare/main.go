// Command bare is the smallest Lambda function in Go, with which cold starts are compared.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() { lambda.Start(func() error { return nil }) }
