import { grpcDriver } from '../../drivers/grpc.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({ driver: grpcDriver });
