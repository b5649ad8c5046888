"""A worker of the service `parcels` with pika alone: python3 worker.py amqp://localhost"""
import json
import os
import sys
import time
import pika

NAMESPACE = os.environ.get("REPLYTO_NAMESPACE", "replyto")
QUEUE = f"{NAMESPACE}.q.default.parcels.v1"  # <namespace>.q.<group>.<service>.v<major>
PRICES = {"DE": 5, "FR": 7}


class DeclaredError(Exception):
    """One that the contract declares: its code, message and data reach the caller."""


def quote(parcel):
    if parcel["country"] not in PRICES:
        raise DeclaredError("NO_SUCH_COUNTRY", "no parcel goes there", {"country": parcel["country"]})
    return {"price": PRICES[parcel["country"]] * parcel["kg"], "by": "python"}


METHODS = {"quote": quote}


def number(headers, name, otherwise):
    text = str(headers.get(name))  # anybody may have written it
    return int(text) if text.isdecimal() else otherwise


def run(headers, body):
    """What to answer: the type of the reply and its body."""
    def error(code, message, executed, **more):
        attempts = number(headers, "rt-attempt", 1)
        return "error", {"code": code, "message": message, "executed": executed, "retryable": False,
                         "attempts": attempts, **more}

    method = METHODS.get(str(headers.get("rt-method")))
    if time.time() * 1000 > number(headers, "rt-deadline", float("inf")):
        return error("EXPIRED", "its deadline had passed", "no")
    if method is None:
        return error("UNKNOWN_METHOD", "not served here", "no")
    try:
        return "result", method(json.loads(body))
    except DeclaredError as declared:
        return error(*declared.args[:2], "yes", data=declared.args[2])
    except Exception as failure:  # its text may hold secrets and stays here
        print(repr(failure), file=sys.stderr, flush=True)
        return error("HANDLER_FAILED", "the handler failed", "yes")


def on_request(channel, delivery, request, body):
    kind, answer = run(request.headers or {}, body)
    address = request.reply_to or ""
    if address.startswith(f"{NAMESPACE}.") and not address.startswith(f"{NAMESPACE}.q."):  # an inbox
        reply = pika.BasicProperties(correlation_id=request.message_id, type=kind, content_type="application/json",
                                     delivery_mode=2, headers={"rt-v": "1", "rt-worker": "python"})
        try:
            channel.basic_publish("", address, json.dumps(answer).encode(), reply, mandatory=True)
        except pika.exceptions.UnroutableError:
            pass  # the caller has gone
    elif kind == "error":
        return channel.basic_reject(delivery.delivery_tag, requeue=False)  # a send: it is kept as a dead letter
    channel.basic_ack(delivery.delivery_tag)  # only now, as the reply is stored


channel = pika.BlockingConnection(pika.URLParameters(sys.argv[1])).channel()
channel.confirm_delivery()  # so basic_publish returns when the server has it
channel.basic_qos(prefetch_count=10)
channel.queue_declare(QUEUE, passive=True)  # the first client, or worker of the library, has declared it
channel.basic_consume(QUEUE, on_request)
print("ready", flush=True)
channel.start_consuming()
