// Sends one message with nodemailer, whose module comes first; the other arguments are as for every program here: see programs.rs.
import fs from 'node:fs';

const [module, port, tls, method, user, pass, from, path, ...to] = process.argv.slice(2);
const { default: nodemailer } = await import(module);
const transport = nodemailer.createTransport({
  host: '127.0.0.1',
  port: Number(port),
  secure: tls === 'implicit',
  requireTLS: true,
  tls: { rejectUnauthorized: false },
  authMethod: method,
  auth: { user, pass },
});
const raw = fs.readFileSync(path);
try {
  const { accepted, rejected, rejectedErrors } = await transport.sendMail({
    envelope: { from, to, use8BitMime: raw.some((octet) => octet > 127) },
    raw,
  });
  console.log(accepted, rejected, rejectedErrors?.map((error) => error.response));
} catch (error) {
  console.log(error.message);
  process.exitCode = 1;
}
