// Runs cdk-nag over CloudFormation templates given as arguments.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { App, LegacyStackSynthesizer, Stack, Validations } = require('aws-cdk-lib');
const { CfnInclude } = require('aws-cdk-lib/cloudformation-include');
const { AwsSolutionsChecks, ServerlessChecks } = require('cdk-nag');

// [rule, resource, reason]
const accepted = [
  [/^AwsSolutions-IAM5/, /Role$/, 'every star is named and explained in infra/stack/policy_test.go; others fail there'],
  [/^Serverless-LambdaStarPermissions$/, /Role$/, 'the same stars'],
  [/^AwsSolutions-SMG4$/, /ClientSecret$/, 'issued by Auth0 and by FGA: rotated there, then filled in with make secrets'],
  [/^AwsSolutions-SMG4$/, /(Token|Approval|Audit)Key$/, 'rotated with make rotate, which keeps the keys before it; a rotation by itself would lose them'],
  [/^Serverless-LambdaDLQ$/, /Function$/, 'for asynchronous calls; none of these functions is called that way'],
  [/^Serverless-SQSRedrivePolicy$/, /ApprovalDeadLetters$/, 'it is the dead-letter queue'],
  [/^Serverless-LambdaEventSourceMappingDestination$/, /ApprovalWorkerSource$/, 'an SQS source has no destination: what fails goes to the dead-letter queue'],
].map(([rule, resource, reason]) => ({ rule, resource, reason, used: false }));

const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'cdk-nag-'));
const app = new App({ outdir, analyticsReporting: false, context: { '@aws-cdk/core:failSynthOnValidationErrors': false } });
for (const file of process.argv.slice(2)) {
  const stack = new Stack(app, path.basename(file).split('.')[0], { synthesizer: new LegacyStackSynthesizer() });
  new CfnInclude(stack, 'T', { templateFile: file });
}
Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));

app.synth(); // leaves the findings in a file

const report = JSON.parse(fs.readFileSync(path.join(outdir, 'validation-report.json'), 'utf8'));
fs.rmSync(outdir, { recursive: true });
let found = 0;
for (const { pluginName, violations } of report.pluginReports) {
  for (const { ruleName, description, violatingConstructs } of violations) {
    for (const { constructPath } of violatingConstructs) {
      const reason = accepted.find((a) => a.rule.test(ruleName) && a.resource.test(constructPath));
      if (reason) {
        reason.used = true;
        continue;
      }
      found++;
      console.error(`${pluginName}: ${ruleName}: ${constructPath}: ${description}`);
    }
  }
}
for (const { rule, resource, used } of accepted) {
  if (!used) {
    found++;
    console.error(`accepted but not found any more: ${rule} on ${resource}`);
  }
}
const packs = report.pluginReports.map((p) => p.pluginName).join(', ');
console.log(`cdk-nag (${packs}): ${process.argv.length - 2} templates, ${found} unexplained findings`);
process.exitCode = found ? 1 : 0;
