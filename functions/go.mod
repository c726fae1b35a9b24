module github.com/steward-iam/steward/functions

go 1.26

require github.com/steward-iam/steward/shared v0.0.0

replace github.com/steward-iam/steward/shared => ../shared
