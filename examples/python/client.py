"""Calls the service `parcels` with pika alone: python3 client.py amqp://localhost quote '{"country": "DE", "kg": 2}'"""
import json
import os
import sys
import time
import uuid
import pika

NAMESPACE = os.environ.get("REPLYTO_NAMESPACE", "replyto")
QUEUE = f"{NAMESPACE}.q.default.parcels.v1"


def call(channel, inbox, method, value, seconds):
    """Type and body of the reply; raises TimeoutError at the deadline."""
    call_id = str(uuid.uuid4())
    now = int(time.time() * 1000)
    deadline = now + int(seconds * 1000)
    headers = {"rt-v": "1", "rt-service": "parcels", "rt-method": method, "rt-caller": "python",
               "rt-sent": str(now), "rt-deadline": str(deadline)}
    request = pika.BasicProperties(message_id=call_id, correlation_id=call_id, reply_to=inbox, type="call",
                                   content_type="application/json", delivery_mode=2, timestamp=now // 1000,
                                   expiration=str(deadline - now), headers=headers)
    channel.basic_publish("", QUEUE, json.dumps(value).encode(), request, mandatory=True)
    for _, reply, body in channel.consume(inbox, auto_ack=True, inactivity_timeout=0.05):
        if reply and reply.correlation_id == call_id and reply.type in ("result", "error"):
            return reply.type, json.loads(body)
        if time.time() * 1000 > deadline:
            raise TimeoutError(f"{method}: no answer within {seconds} s; whether it ran is not known")


url, method, value, seconds = [*sys.argv[1:], "10"][:4]  # of the deadline
with pika.BlockingConnection(pika.URLParameters(url)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()  # a publish returns when the server has it, and raises if nobody has made the queue yet
    inbox = f"{NAMESPACE}.reply.python-{uuid.uuid4()}"  # workers answer to names that begin so
    channel.queue_declare(inbox, exclusive=True)
    kind, answer = call(channel, inbox, method, json.loads(value), float(seconds))
    print(json.dumps({kind: answer}))
    channel.cancel()
