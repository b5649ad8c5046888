// The whole test of an adapter that its author keeps elsewhere; here it stands for one over the memory broker.
import { describeConformance } from 'replyto/testing/conformance'
import { memory } from 'replyto/memory'

const myBroker = () => ({ ...memory({ name: 'mine' }), '~adapter': 'mine', url: 'mine:here' })

describeConformance({
  name: 'mine',
  target: () => myBroker(),
  capabilities: myBroker().create().capabilities,
})
